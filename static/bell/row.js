/** One notification in the list. All of its text is set as text, never as markup. */

import { safeUrl } from '../safe-url.js';
import { h, iconButton, nameButton } from './dom.js';
import { age, date, dayLabel } from './format.js';

const LONG_NAME = 80; // characters of a title that are read out with every button

/**
 * @typedef {import('../store.js').Item} Item
 * @typedef {import('./messages.js').Words} Words
 */

const prototype = h(
  'li',
  { part: 'row' },
  h('h3', { class: 'day', part: 'day' }),
  h(
    'div',
    { class: 'card' },
    h('span', { class: 'avatar', part: 'avatar', 'aria-hidden': 'true' }),
    h(
      'div',
      { class: 'words' },
      h(
        'a',
        { class: 'main', part: 'item' },
        h('slot', {}, h('span', { class: 'title', part: 'title', dir: 'auto' }), h('span', { class: 'body', part: 'body', dir: 'auto' })),
        h('span', { class: 'unread aside' }),
      ),
      h(
        'div',
        { class: 'foot' },
        h('time', { part: 'time' }),
        h(
          'div',
          { class: 'tools' },
          iconButton('toggle', 'M5 12.5l4.5 4.5L19 7.5', 'M12 8a4 4 0 1 1 0 8a4 4 0 0 1 0-8'),
          iconButton('snooze', 'M12 7v5.2l3.2 2M12 4a8 8 0 1 1 0 16a8 8 0 0 1 0-16'),
          iconButton('archive', 'M4 5h16v4H4zM5.5 9v10h13V9M10 13h4'),
        ),
      ),
    ),
    h('span', { class: 'dot', part: 'dot', 'aria-hidden': 'true' }),
  ),
);

/** @returns {HTMLLIElement} an empty row, for `fillRow` */
export function createRow() {
  return /** @type {HTMLLIElement} */ (prototype.cloneNode(true));
}

/**
 * @param {HTMLLIElement} row @param {Item} item @param {number|null} day to stand above it @param {Words} words
 */
export function fillRow(row, item, day, words) {
  const part = (/** @type {string} */ selector) => /** @type {any} */ (row.querySelector(selector));
  const unread = item.read_at === null;
  const away = item.archived_at !== null;
  const name = (/** @type {string} */ selector, /** @type {string} */ key, hidden = false) => {
    const action = words.say(key);
    part(selector).hidden = hidden;
    nameButton(part(selector), words.say('of', { action, title: item.title.slice(0, LONG_NAME) }), action);
  };
  row.classList.toggle('is-unread', unread);
  part('.day').hidden = day === null;
  part('.day').textContent = day === null ? '' : dayLabel(day, Date.now(), words.tag);
  fillAvatar(part('.avatar'), item);
  part('slot').name = `item-${item.id}`;
  part('.title').textContent = item.title;
  part('.body').textContent = item.body;
  part('.unread').textContent = unread ? words.say('unread') : '';
  link(part('.main'), item.action_url);
  name('.toggle', unread ? 'markRead' : 'markUnread', away);
  name('.snooze', item.snoozed_until === null ? 'snooze' : 'unsnooze', away);
  name('.archive', away ? 'unarchive' : 'archive');
  part('time').dateTime = item.appeared_at;
  part('time').title = date(Date.parse(item.appeared_at), words.tag, { dateStyle: 'full', timeStyle: 'short' });
  ageRow(row, words);
}

/** Bring the relative time up to date. @param {Element} row @param {Words} words */
export function ageRow(row, words) {
  const time = /** @type {HTMLTimeElement} */ (row.querySelector('time'));
  time.textContent = age(Date.parse(time.dateTime), Date.now(), words.tag);
}

/** Lead somewhere, or be a button. @param {HTMLAnchorElement} anchor @param {unknown} to */
export function link(anchor, to) {
  const url = safeUrl(to);
  if (url === null) {
    anchor.role = 'button';
    anchor.tabIndex = 0;
  } else {
    anchor.href = url;
    anchor.rel = 'noopener noreferrer';
    if (anchor.origin !== location.origin) anchor.target = '_blank';
  }
  // Last: what loses all that makes it focusable loses the focus.
  for (const name of url === null ? ['href', 'target'] : ['role', 'tabindex']) anchor.removeAttribute(name);
}

/**
 * The picture of whoever did it, or else their initials.
 *
 * @param {HTMLElement} avatar @param {Item} item
 */
export function fillAvatar(avatar, { actor, title }) {
  const name = (typeof actor?.name === 'string' && actor.name.trim()) || title;
  const words = name.slice(0, 200).match(/(?<!\S)[\p{L}\p{N}]/gu) ?? ['•'];
  const url = safeUrl(actor?.avatar_url);
  avatar.style.setProperty('--_tone', String((name.charCodeAt(0) + name.length) % 6)); // stays with the name
  avatar.textContent = (words[0] + (words.slice(1).at(-1) ?? '')).toUpperCase();
  if (url === null) return;
  const picture = h('img', { alt: '', loading: 'lazy', referrerpolicy: 'no-referrer', src: url });
  picture.onerror = () => picture.remove();
  avatar.append(picture);
}
