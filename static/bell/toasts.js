/** What arrives while the list is closed, shown in a corner for a while. A screen reader is told by the bell itself. */

import { h, iconButton, nameButton } from './dom.js';
import { rowStyle } from './row-style.js';
import { fillAvatar, link } from './row.js';
import { adopt, styleSheet } from './style.js';

const MOST = 3; // at once
const STAY_MS = 7_000;

const style = styleSheet(`
.toasts {
  position: fixed; inset: auto 16px 16px auto; margin: 0; padding: 0; width: min(360px, 100vw - 16px); border: 0; overflow: visible;
  background: none; color: var(--_text); pointer-events: none; flex-direction: column; gap: 10px;
}
.toasts:popover-open { display: flex; }
.toasts.is-top { inset: 16px 16px auto auto; }
.toasts:dir(rtl) { inset: auto auto 16px 16px; }
.toasts.is-top:dir(rtl) { inset: 16px auto auto 16px; }
.toast {
  position: relative; display: grid; grid-template-columns: 36px minmax(0, 1fr) 28px; gap: 0 12px; align-items: center; padding: 12px;
  border: 1px solid var(--_border); border-radius: var(--_radius); background: var(--_surface); box-shadow: var(--_shadow); pointer-events: auto;
}
.toast .title { font-weight: 600; }
.toast .icon { display: grid; position: relative; z-index: 1; margin: -4px; }
@media (max-width: 480px) { .toasts, .toasts:dir(rtl) { inset: max(8px, env(safe-area-inset-top)) 8px auto; width: auto; } }
@media (prefers-reduced-motion: no-preference) { .toast { animation: toast .22s cubic-bezier(.2, .9, .3, 1); } }
@keyframes toast { from { opacity: 0; translate: 0 8px; } }
`);

/** @typedef {import('../store.js').Item} Item */

/** @type {import('./extras.js').Attach} */
export function attach({ bell, client, value, signal }) {
  const root = /** @type {ShadowRoot} */ (bell.shadowRoot);
  const region = h('div', { class: value === 'top' ? 'toasts is-top' : 'toasts', popover: 'manual', role: 'region' });
  const timers = new Timers();
  adopt(root, rowStyle);
  adopt(root, style);
  root.append(region);

  const dismiss = (/** @type {HTMLElement} */ toast) => {
    timers.stop(toast);
    toast.remove();
    if (region.childElementCount === 0 && region.matches(':popover-open')) region.hidePopover();
  };
  const clear = () => {
    for (const toast of [...region.children]) dismiss(/** @type {HTMLElement} */ (toast));
  };
  const show = (/** @type {Item} */ item) => {
    const toast = buildToast(bell, item, () => dismiss(toast));
    region.append(toast);
    while (region.childElementCount > MOST) dismiss(/** @type {HTMLElement} */ (region.firstElementChild));
    timers.start(toast, () => dismiss(toast));
  };
  const gone = () => {
    if (region.childElementCount === 0) return;
    const waiting = new Set(client.items.filter((item) => item.read_at === null).map(({ id }) => id));
    for (const toast of /** @type {HTMLElement[]} */ ([...region.children])) if (!waiting.has(toast.dataset.id ?? '')) dismiss(toast);
  };

  client.addEventListener(
    'arrival',
    (event) => {
      const { items, live } = /** @type {CustomEvent} */ (event).detail;
      if (!live || bell.open || document.visibilityState !== 'visible') return;
      region.dir = bell.words.direction;
      region.setAttribute('aria-label', bell.words.say('label'));
      items.slice(-MOST).forEach(show);
      if (!region.matches(':popover-open')) region.showPopover();
    },
    { signal },
  );
  client.addEventListener('change', gone, { signal });
  bell.addEventListener('notification-toggle', () => bell.open && clear(), { signal });
  // Who reads or reaches for a toast has all the time they need.
  for (const type of ['pointerenter', 'focusin']) region.addEventListener(type, () => timers.pause(), { signal });
  for (const type of ['pointerleave', 'focusout']) {
    region.addEventListener(type, () => region.matches(':hover, :focus-within') || timers.resume(), { signal });
  }
  region.addEventListener('keydown', ({ key }) => key === 'Escape' && clear(), { signal });
  signal.addEventListener('abort', () => {
    clear();
    region.remove();
  });
}

/** @param {import('./extras.js').NotificationBell} bell @param {Item} item @param {() => void} dismiss */
function buildToast(bell, item, dismiss) {
  const avatar = h('span', { class: 'avatar', part: 'avatar', 'aria-hidden': 'true' });
  const main = h('a', { class: 'main', part: 'item' }, h('span', { class: 'title', dir: 'auto' }, item.title), h('span', { class: 'body', dir: 'auto' }, item.body));
  const close = iconButton('close', 'M6 6l12 12M18 6L6 18');
  nameButton(close, bell.words.say('close'));
  fillAvatar(avatar, item);
  link(main, item.action_url);
  main.addEventListener('click', (event) => {
    bell.activate(item, event);
    dismiss();
  });
  main.addEventListener('keydown', (event) => {
    if (main.hasAttribute('href') || (event.key !== 'Enter' && event.key !== ' ')) return;
    event.preventDefault();
    main.click();
  });
  close.addEventListener('click', dismiss);
  return h('div', { class: 'toast', part: 'toast', 'data-id': item.id }, avatar, main, close);
}

/** Timers that stand still together. */
class Timers {
  /** @type {Map<Element, {end: () => void, left: number, since: number, timer: ReturnType<typeof setTimeout>|undefined}>} */
  #all = new Map();
  #paused = false;

  /** @param {Element} toast @param {() => void} end */
  start(toast, end) {
    this.#all.set(toast, { end, left: STAY_MS, since: 0, timer: undefined });
    if (!this.#paused) this.resume();
  }

  /** @param {Element} toast */
  stop(toast) {
    clearTimeout(this.#all.get(toast)?.timer);
    this.#all.delete(toast);
    if (this.#all.size === 0) this.#paused = false; // what the pointer was over is gone
  }

  pause() {
    if (this.#paused) return;
    this.#paused = true;
    for (const one of this.#all.values()) {
      clearTimeout(one.timer);
      one.timer = undefined;
      one.left -= performance.now() - one.since;
    }
  }

  resume() {
    this.#paused = false;
    for (const one of this.#all.values()) {
      if (one.timer !== undefined) continue;
      one.since = performance.now();
      one.timer = setTimeout(one.end, one.left);
    }
  }
}
