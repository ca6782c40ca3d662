/** One notification in the list. All of its text is set as text, never as markup. */

import { safeUrl } from './safe-url.js';

const template = document.createElement('template');
template.innerHTML = `
  <li part="row">
    <a class="main" part="item">
      <span class="avatar" aria-hidden="true"></span>
      <span class="words">
        <span class="title" dir="auto" part="title"></span>
        <span class="body" dir="auto" part="body"></span>
        <span class="meta"><time></time><span class="unread">Unread</span></span>
      </span>
      <span class="dot" aria-hidden="true"></span>
    </a>
    <button class="archive" type="button" title="Archive">
      <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M5 5l10 10M15 5L5 15"/></svg>
    </button>
  </li>`;

const UNITS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
]);

/** @typedef {import('./store.js').Item} Item */

/** @returns {HTMLLIElement} an empty row, for `fillRow` */
export function createRow() {
  const row = /** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild;
  return /** @type {HTMLLIElement} */ (row);
}

/** @param {HTMLLIElement} row @param {Item} item @param {string} lang */
export function fillRow(row, item, lang) {
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (row.querySelector(name));
  const name = typeof item.actor?.name === 'string' && item.actor.name.trim() !== '' ? item.actor.name.trim() : item.title;
  row.dataset.id = item.id;
  row.classList.toggle('is-unread', item.read_at === null);
  part('.unread').hidden = item.read_at !== null;
  part('.avatar').textContent = initials(name);
  part('.avatar').dataset.tone = String(tone(name));
  part('.title').textContent = item.title;
  part('.body').textContent = item.body;
  part('.archive').setAttribute('aria-label', `Archive: ${item.title}`);
  const main = /** @type {HTMLAnchorElement} */ (part('.main'));
  const url = safeUrl(item.action_url);
  if (url === null) {
    main.removeAttribute('href');
    main.setAttribute('role', 'button');
    main.tabIndex = 0;
  } else {
    main.href = url;
    main.rel = 'noopener noreferrer';
    main.removeAttribute('role');
    main.removeAttribute('tabindex');
    main.target = new URL(url).origin === location.origin ? '' : '_blank';
  }
  const time = /** @type {HTMLTimeElement} */ (part('time'));
  time.dateTime = item.appeared_at;
  time.title = new Date(item.appeared_at).toLocaleString(lang);
  ageRow(row, lang);
}

/** Bring the relative time up to date. @param {Element} row @param {string} lang */
export function ageRow(row, lang) {
  const time = /** @type {HTMLTimeElement} */ (row.querySelector('time'));
  time.textContent = relativeTime(Date.parse(time.dateTime), Date.now(), lang);
}

/** @param {number} then @param {number} now @param {string} lang */
export function relativeTime(then, now, lang) {
  const seconds = (then - now) / 1000;
  const format = new Intl.RelativeTimeFormat(lang, { numeric: 'auto', style: 'short' });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(0, 'second');
}

/** @param {string} name */
function initials(name) {
  const words = name.split(/\s+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return chosen.map((word) => [...word][0].toUpperCase()).join('') || '•';
}

/** A colour that stays with a name, 0 to 5. @param {string} name */
function tone(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 997;
  return sum % 6;
}
