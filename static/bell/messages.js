/**
 * What the bell says, in the reader's language. English is built in, and each part brings its own; the other tables are
 * fetched when a page needs them; `defineLocale` adds one, or changes some words of one. Numbers, times and plurals are
 * `Intl`'s.
 *
 * @typedef {string | {other: string, [category: string]: string}} Message by plural category, where there is a `{count}`
 * @typedef {Record<string, Message>} Messages by key; `locales/de.js` has all keys
 */

/** @type {Record<string, () => Promise<{default: Messages}>>} */
const SHIPPED = {
  ar: () => import('../locales/ar.js'),
  de: () => import('../locales/de.js'),
  es: () => import('../locales/es.js'),
  fr: () => import('../locales/fr.js'),
  ja: () => import('../locales/ja.js'),
  pt: () => import('../locales/pt.js'),
  zh: () => import('../locales/zh.js'),
};
const RIGHT_TO_LEFT = /^(ar|fa|he|ur)\b/;

/** @type {Messages} */
const english = {
  label: 'Notifications',
  unreadCount: '{count} unread',
  arrivedOne: 'New: {title}',
  arrivedMany: '{count} new notifications',
  unread: 'Unread',
  markAllRead: 'Mark all read',
  markRead: 'Mark as read',
  markUnread: 'Mark as unread',
  archive: 'Archive',
  snooze: 'Snooze',
  of: '{action}: {title}',
  close: 'Close',
  older: 'Show older',
  loading: 'Loading',
  emptyTitle: 'You’re all caught up',
  emptyText: 'New notifications appear here at once.',
  failedTitle: 'Notifications can’t be loaded',
  failedText: 'They are fetched as soon as the connection is back.',
  retry: 'Try again',
  offline: 'Offline. What you do now is sent later.',
  signedOut: 'Signed out. Please load the page again.',
};

/** @type {Map<string, Messages>} by language tag, in lower case */
const tables = new Map([['en', english]]);
/** @type {Set<string>} tables that are on their way, or that were */
const asked = new Set();

/** Tells by `change` that a table has come. */
export const locales = new EventTarget();

/** Bring the English words of a part. @param {Messages} messages */
export function addEnglish(messages) {
  tables.set('en', { ...messages, ...tables.get('en') });
}

/**
 * Add a language, or words of one. What a table lacks is said as by its language without a region, or in English.
 *
 * @param {string} tag such as `nl` or `pt-PT`
 * @param {Messages} messages
 */
export function defineLocale(tag, messages) {
  const key = tag.toLowerCase();
  tables.set(key, { ...tables.get(key), ...messages });
  locales.dispatchEvent(new Event('change'));
}

/** How to speak to one reader. */
export class Words {
  #tables;

  /** @param {string} tag a language that `Intl` knows @param {(Messages|undefined)[]} found best first */
  constructor(tag, found) {
    this.tag = tag;
    /** @type {'ltr'|'rtl'} */
    this.direction = RIGHT_TO_LEFT.test(tag) ? 'rtl' : 'ltr';
    this.#tables = found;
  }

  /** @param {number} count */
  number(count) {
    return count.toLocaleString(this.tag);
  }

  /** @param {string} key @param {Record<string, string|number>} [values] for what is in braces */
  say(key, values = {}) {
    const message = [...this.#tables, tables.get('en')].find((table) => table?.[key])?.[key] ?? key;
    const count = Number(values.count);
    const text = typeof message === 'string' ? message : (message[new Intl.PluralRules(this.tag).select(count)] ?? message.other);
    return text.replace(/\{(\w+)\}/g, (_, name) => (name === 'count' ? this.number(count) : String(values[name])));
  }
}

/**
 * Return the words for a language: the best there is now. A table that has to be fetched is announced by `locales`.
 *
 * @param {string} lang
 */
export function wordsFor(lang) {
  const key = canonical(lang);
  const base = key.split('-')[0];
  if (Object.hasOwn(SHIPPED, base) && !asked.has(base)) {
    asked.add(base);
    SHIPPED[base]().then(
      // What the page has defined itself comes first.
      (module) => defineLocale(base, { ...module.default, ...tables.get(base) }),
      () => asked.delete(base),
    );
  }
  const found = [tables.get(key), tables.get(base)];
  return new Words(found.some(Boolean) ? key : 'en', found);
}

/** The tag in lower case; English for what is no tag. @param {string} lang */
function canonical(lang) {
  try {
    return Intl.getCanonicalLocales(lang)[0].toLowerCase();
  } catch {
    return 'en';
  }
}

/** The language of an element's surroundings, also outside of the shadow root that it may be in. @param {Element} element */
export function languageOf(element) {
  const root = element.getRootNode();
  const named = element.closest('[lang]') ?? (root instanceof ShadowRoot ? root.host.closest('[lang]') : null);
  return named?.getAttribute('lang') || navigator.language;
}
