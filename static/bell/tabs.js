/** The row of tabs: one of them is chosen, arrow keys go along it (the ARIA pattern). */

import { h } from './dom.js';
import { inbox } from './inbox-view.js';
import { addEnglish, locales } from './messages.js';
import { adopt, styleSheet } from './style.js';
import { tabsOf } from './views.js';

const NAMED = new Set(['all', 'unread', 'archived', 'snoozed']);

addEnglish({
  all: 'All',
  archived: 'Archived',
  snoozed: 'Snoozed',
  unarchive: 'Move to inbox',
  unsnooze: 'Bring back now',
  nothing: 'Nothing here',
});

const style = styleSheet(`
.tabs { display: flex; gap: 4px; flex: none; overflow-x: auto; scrollbar-width: none; padding: 0 10px; border-bottom: 1px solid var(--_border); }
header:has(+ .tabs) { border-bottom: 0; }
[role=tab] { position: relative; flex: none; padding: 7px 8px 10px; color: var(--_muted); font-size: 13px; font-weight: 550; white-space: nowrap; }
[role=tab]:hover, [aria-selected=true] { color: var(--_text); }
[aria-selected=true]::after { content: ""; position: absolute; inset: auto 8px 0; border-top: 2px solid var(--_accent); border-radius: 2px 2px 0 0; }
[role=tab]:focus-visible, .scroll:focus-visible { outline-offset: -2px; border-radius: 8px; }
@media (max-width: 480px) { [role=tab] { padding: 10px 10px 13px; font-size: 14px; } }
@media (forced-colors: active) { [aria-selected=true]::after { border-color: Highlight; } }
`);

/** @type {import('./extras.js').Attach} */
export function attach({ bell, value, signal }) {
  const root = /** @type {ShadowRoot} */ (bell.shadowRoot);
  const scroll = /** @type {HTMLElement} */ (root.querySelector('.scroll'));
  const tabs = tabsOf(value);
  if (tabs.length === 0) return;
  const buttons = tabs.map((_, index) => h('button', { role: 'tab', part: 'tab', type: 'button', id: `tab-${index}`, 'aria-controls': 'content' }));
  const row = h('div', { class: 'tabs', role: 'tablist', 'aria-labelledby': 'heading' }, ...buttons);

  const speak = () => {
    tabs.forEach(({ label, view: { name } }, index) => {
      buttons[index].textContent = label ?? (NAMED.has(name) ? bell.words.say(name) : name);
    });
  };
  const choose = (/** @type {number} */ chosen) => {
    buttons.forEach((button, index) => {
      button.setAttribute('aria-selected', String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
    });
    scroll.setAttribute('aria-labelledby', `tab-${chosen}`);
    bell.view = tabs[chosen].view;
  };
  row.addEventListener('click', ({ target }) => {
    const at = buttons.findIndex((button) => button === target);
    if (at >= 0) choose(at);
  });
  row.addEventListener('keydown', (event) => {
    const last = buttons.length - 1;
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const step = bell.words.direction === 'rtl' ? -1 : 1;
    const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + last + 1) % (last + 1);
    choose(next);
    buttons[next].focus();
  });

  adopt(root, style);
  root.querySelector('header')?.after(row);
  scroll.role = 'tabpanel';
  scroll.tabIndex = 0;
  speak();
  choose(0);
  locales.addEventListener('change', speak, { signal });
  bell.addEventListener('notification-toggle', speak, { signal });
  signal.addEventListener('abort', () => {
    row.remove();
    for (const name of ['role', 'tabindex', 'aria-labelledby']) scroll.removeAttribute(name);
    bell.view = inbox;
  });
}
