/** The times to snooze until, in a menu at the button (the ARIA pattern). */

import { h } from './dom.js';
import { date, dayOf } from './format.js';
import { addEnglish } from './messages.js';
import { adopt, styleSheet } from './style.js';

const HOUR = 3_600_000;
const MORNING = 9; // o'clock
const EVENING = 18;
const GAP = 4;

addEnglish({ inAnHour: 'In one hour', thisEvening: 'This evening', tomorrow: 'Tomorrow', nextWeek: 'Next week' });

const style = styleSheet(`
.menu {
  position: fixed; inset: auto; margin: 0; padding: 5px; min-width: 224px; max-width: calc(100vw - 16px);
  border: 1px solid var(--_border); border-radius: 11px; background: var(--_surface); color: var(--_text); box-shadow: var(--_shadow);
}
.menu button { display: flex; justify-content: space-between; gap: 20px; width: 100%; padding: 7px 10px; border-radius: 7px; font-size: 13px; text-align: start; }
.menu button:hover, .menu button:focus { background: var(--_hover); outline-offset: -2px; }
.menu time { color: var(--_muted); white-space: nowrap; }
@media (max-width: 480px) { .menu button { padding: 11px 12px; font-size: 15px; } }
`);

/** @typedef {import('./messages.js').Words} Words */

/** What is offered at a time. @param {Date} now @returns {{name: 'inAnHour'|'thisEvening'|'tomorrow'|'nextWeek', until: Date}[]} */
export function snoozeTimes(now) {
  const at = (/** @type {number} */ days, /** @type {number} */ hour) => {
    const then = new Date(now);
    then.setDate(then.getDate() + days);
    then.setHours(hour, 0, 0, 0);
    return then;
  };
  const evening = at(0, EVENING);
  const toMonday = (8 - now.getDay()) % 7 || 7;
  return [
    { name: 'inAnHour', until: new Date(now.getTime() + HOUR) },
    ...(evening.getTime() - now.getTime() > HOUR ? [{ name: /** @type {const} */ ('thisEvening'), until: evening }] : []),
    { name: 'tomorrow', until: at(1, MORNING) },
    ...(toMonday > 1 ? [{ name: /** @type {const} */ ('nextWeek'), until: at(toMonday, MORNING) }] : []),
  ];
}

/**
 * @param {HTMLElement} button
 * @param {HTMLElement} panel
 * @param {Words} words
 * @param {(until: Date) => void} onPick
 */
export function openSnoozeMenu(button, panel, words, onPick) {
  const now = new Date();
  adopt(/** @type {ShadowRoot} */ (panel.getRootNode()), style);
  const menu = h('div', { class: 'menu', part: 'menu', role: 'menu', popover: 'auto', 'aria-label': words.say('snooze') });
  const entries = snoozeTimes(now).map(({ name, until }) => {
    const weekday = dayOf(until) === dayOf(now) ? undefined : 'short';
    const when = date(until, words.tag, { weekday, hour: 'numeric', minute: '2-digit' });
    const entry = h('button', { role: 'menuitem', type: 'button', tabindex: -1 }, words.say(name), h('time', { dir: 'auto' }, when));
    entry.addEventListener('click', () => {
      menu.hidePopover();
      onPick(until);
    });
    return entry;
  });
  menu.append(...entries);
  menu.addEventListener('keydown', (event) => {
    const at = entries.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === 'Tab') menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    entries.at(to % entries.length)?.focus();
  });
  menu.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === 'open') return;
    button.removeAttribute('aria-expanded');
    if (button.isConnected && menu.contains(/** @type {ShadowRoot} */ (panel.getRootNode()).activeElement)) button.focus();
    menu.remove();
  });
  panel.append(menu);
  button.setAttribute('aria-expanded', 'true');
  menu.showPopover();
  put(menu, button.getBoundingClientRect());
  entries[0].focus();
}

/** @param {HTMLElement} menu @param {DOMRect} button */
function put(menu, button) {
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(Math.max(GAP, button.right - width), document.documentElement.clientWidth - width - GAP);
  const under = button.bottom + GAP;
  const top = under + height > window.innerHeight ? button.top - GAP - height : under;
  Object.assign(menu.style, { left: `${left}px`, top: `${Math.max(GAP, top)}px` });
}
