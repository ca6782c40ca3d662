/** The settings: a page of the panel that there is as long as somebody has put something on it. */

import { h, iconButton, nameButton } from './dom.js';
import { addEnglish } from './messages.js';
import { adopt, styleSheet } from './style.js';

addEnglish({ settings: 'Settings', back: 'Back' });

const style = styleSheet(`
.panel.is-settings > :not(.settings) { display: none; }
.settings { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; }
.settings header { position: sticky; top: 0; z-index: 1; justify-content: start; gap: 8px; padding-inline: 12px; background: var(--_surface); border-bottom: 1px solid var(--_border); }
.back svg:dir(rtl) { scale: -1 1; }
.settings section { padding: 16px 18px; border-bottom: 1px solid var(--_border); }
.settings section:last-child { border-bottom: 0; }
.settings h3 { margin: 0 0 2px; font-size: 14px; font-weight: 600; }
.settings p { margin: 0; color: var(--_muted); font-size: 13px; }
.settings .problem { margin-top: 8px; color: light-dark(#b3203a, #ff8a96); }
.settings label { display: flex; align-items: center; justify-content: space-between; gap: 16px; padding: 6px 0; cursor: pointer; }
.settings fieldset { margin: 10px 0 0; padding: 0; border: 0; }
.settings legend { padding: 0; margin-bottom: 2px; font-weight: 550; }
[role=switch] {
  appearance: none; flex: none; width: 36px; height: 20px; margin: 0; padding: 2px; border: 1px solid transparent; border-radius: 11px;
  background: light-dark(#868b99, #7d8292); cursor: inherit; transition: background-color .15s;
}
[role=switch]::before { content: ""; display: block; width: 14px; height: 14px; border-radius: 50%; background: #fff; transition: translate .15s; }
[role=switch]:checked { background: var(--_accent); }
[role=switch]:checked::before { translate: 16px; }
[role=switch]:checked:dir(rtl)::before { translate: -16px; }
[role=switch]:disabled { opacity: .5; cursor: default; }
@media (forced-colors: active) { [role=switch] { border-color: ButtonText; forced-color-adjust: none; background: ButtonFace; } [role=switch]::before { background: ButtonText; } [role=switch]:checked { background: Highlight; } }
@media (prefers-reduced-motion: reduce) { [role=switch], [role=switch]::before { transition: none; } }
`);

/** @typedef {import('../notification-bell.js').NotificationBell} NotificationBell */

/** @type {WeakMap<NotificationBell, HTMLElement>} */
const pages = new WeakMap();

/**
 * Put a section on the bell's settings.
 *
 * @param {NotificationBell} bell @param {AbortSignal} signal takes it away again @param {...Node} children
 */
export function addSection(bell, signal, ...children) {
  const page = pages.get(bell) ?? buildPage(bell);
  const section = h('section', {}, ...children);
  const gear = /** @type {HTMLElement} */ (bell.shadowRoot?.querySelector('.gear'));
  page.append(section);
  gear.hidden = false;
  signal.addEventListener('abort', () => {
    section.remove();
    gear.hidden = page.querySelector('section') === null;
    if (gear.hidden) page.parentElement?.classList.remove('is-settings');
  });
}

/**
 * A switch with its name.
 *
 * @param {string} name @param {boolean} checked @param {(input: HTMLInputElement) => void} onChange
 */
export function buildSwitch(name, checked, onChange) {
  const input = h('input', { type: 'checkbox', role: 'switch', checked });
  input.addEventListener('change', () => onChange(input));
  return { input, label: h('label', {}, h('span', { dir: 'auto' }, name), input) };
}

/** @param {NotificationBell} bell */
function buildPage(bell) {
  const root = /** @type {ShadowRoot} */ (bell.shadowRoot);
  const panel = /** @type {HTMLElement} */ (root.querySelector('.panel'));
  const gear = iconButton('gear', 'M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 0 1 0-5M8 14.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 0 1 0-5');
  const back = iconButton('back', 'M14.5 5.5L8 12l6.5 6.5');
  const title = h('h2', {});
  const page = h('div', { class: 'settings', part: 'settings', hidden: true }, h('header', {}, back, title));
  const turn = (/** @type {boolean} */ to) => {
    panel.classList.toggle('is-settings', to);
    page.hidden = !to;
  };
  const speak = () => {
    nameButton(gear, bell.words.say('settings'));
    nameButton(back, bell.words.say('back'));
    title.textContent = bell.words.say('settings');
  };
  gear.addEventListener('click', () => {
    turn(true);
    back.focus();
  });
  back.addEventListener('click', () => {
    turn(false);
    gear.focus();
  });
  bell.addEventListener('notification-toggle', () => {
    speak();
    if (!bell.open) turn(false);
  });
  adopt(root, style);
  speak();
  root.querySelector('header .close')?.before(gear);
  panel.append(page);
  pages.set(bell, page);
  return page;
}
