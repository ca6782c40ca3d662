/** The buttons that came with a notification. */

import { safeUrl } from '../safe-url.js';
import { h } from './dom.js';
import { link } from './row.js';
import { adopt, styleSheet } from './style.js';

const MOST = 2; // one to take, and one other

const style = styleSheet(`
.actions { position: relative; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px; width: fit-content; max-width: 100%; margin: 8px 0 4px; }
.actions .action { max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.primary { border-color: transparent; background: var(--_accent); color: var(--_accent-text); }
.primary:hover { border-color: transparent; filter: brightness(1.08); }
@media (forced-colors: active) { .primary { forced-color-adjust: none; background: Highlight; color: HighlightText; } }
`);

/**
 * @typedef {import('../store.js').Item} Item
 * @typedef {import('../notification-bell.js').NotificationBell} NotificationBell
 *
 * @typedef {object} ItemAction
 * @property {string} id
 * @property {string} label
 * @property {string|null} url where it leads; null: the page does something about it
 */

/** What `data.actions` offers, as far as it makes sense. @param {Item} item @returns {ItemAction[]} */
export function actionsOf({ data }) {
  const given = Array.isArray(data?.actions) ? data.actions : [];
  return given
    .filter((action) => typeof action?.label === 'string' && action.label.trim() !== '')
    .slice(0, MOST)
    .map(({ id, label, url }) => ({ id: String(id ?? label), label: label.trim(), url: safeUrl(url) }));
}

/** @param {NotificationBell} bell @param {Element} row @param {Item} item */
export function fillActions(bell, row, item) {
  adopt(/** @type {ShadowRoot} */ (bell.shadowRoot), style);
  row.querySelector('.actions')?.remove();
  const actions = actionsOf(item);
  if (actions.length === 0) return;
  const buttons = actions.map((action, index) => {
    const button = h('a', { class: index === 0 ? 'action primary' : 'action', part: 'action', dir: 'auto' }, action.label);
    link(button, action.url);
    button.addEventListener('click', (event) => {
      bell.client?.markRead([item.id]);
      const pressed = new CustomEvent('notification-action', { bubbles: true, composed: true, cancelable: true, detail: { item, action } });
      if (!bell.dispatchEvent(pressed)) event.preventDefault();
    });
    return button;
  });
  row.querySelector('.foot')?.before(h('div', { class: 'actions' }, ...buttons));
}
