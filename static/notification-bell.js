/**
 * `<notification-bell>`: a button with a badge, and the list it opens.
 *
 *     const bell = document.querySelector('notification-bell');
 *     bell.client = new BellwireClient({ … });
 *     bell.client.start();
 *
 * Attributes: `label` (what the button is called, "Notifications" unless given); `attention="manual"` (the page tells
 * the client itself whether somebody looks, instead of by the tab's visibility). Event: `notification-open` (bubbles,
 * cancelable, `detail.item`); cancelling it keeps the browser from following the link. Looks: `--bell-…` properties,
 * see bell-style.js; parts `button`, `badge`, `panel`, `row`, `item`, `title`, `body`.
 *
 * @typedef {import('./client.js').BellwireClient} BellwireClient
 * @typedef {import('./store.js').Item} Item
 */

import { bellStyle } from './bell-style.js';
import { ageRow, createRow, fillRow } from './notification-row.js';
import { SeenWatcher } from './seen-watcher.js';

const AGE_MS = 30_000; // between updates of the relative times
const GAP = 8; // pixels to the button and to the edges of the window
const LEAST_HEIGHT = 220;
const MOST_HEIGHT = 600;

const template = document.createElement('template');
template.innerHTML = `
  <button class="bell" part="button" type="button" popovertarget="panel" aria-haspopup="dialog" aria-expanded="false">
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d="M6 9.5a6 6 0 0 1 12 0c0 5.2 2 6.9 2 6.9H4s2-1.7 2-6.9"/>
      <path class="clapper" d="M9.9 19.6a2.3 2.3 0 0 0 4.2 0"/>
    </svg>
    <span class="badge" part="badge" aria-hidden="true" hidden></span>
  </button>
  <div class="panel" part="panel" id="panel" popover role="dialog" aria-labelledby="heading" tabindex="-1">
    <header>
      <h2 id="heading"></h2>
      <button class="all" type="button">Mark all read</button>
    </header>
    <p class="offline" hidden></p>
    <div class="scroll">
      <ul role="list"></ul>
      <button class="more" type="button" hidden>Show older</button>
      <div class="empty" hidden>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M6 9.5a6 6 0 0 1 12 0c0 5.2 2 6.9 2 6.9H4s2-1.7 2-6.9M9.9 19.6a2.3 2.3 0 0 0 4.2 0"/>
        </svg>
        <strong>You’re all caught up</strong>
        <span>New notifications appear here at once.</span>
      </div>
      <div class="loading" role="img" aria-label="Loading"><span></span><span></span><span></span></div>
    </div>
  </div>
  <div class="aside" role="status"></div>`;

export class NotificationBell extends HTMLElement {
  static observedAttributes = ['label'];

  /** @type {BellwireClient|null} */
  #client = null;
  /** @type {AbortController|null} ends what listens while connected to the page */
  #attached = null;
  /** @type {SeenWatcher|null} */
  #watcher = null;
  /** @type {Map<string, HTMLLIElement>} */
  #rows = new Map();
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #ageing;
  #drawing = false;
  #focusIsInside = false;
  #parts;

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: 'open' });
    shadow.adoptedStyleSheets = [bellStyle];
    shadow.append(template.content.cloneNode(true));
    const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (shadow.querySelector(selector));
    this.#parts = {
      bell: part('.bell'),
      badge: part('.badge'),
      panel: part('.panel'),
      heading: part('h2'),
      all: /** @type {HTMLButtonElement} */ (part('.all')),
      offline: part('.offline'),
      scroll: part('.scroll'),
      list: part('ul'),
      more: part('.more'),
      empty: part('.empty'),
      loading: part('.loading'),
      status: part('.aside'),
    };
    const { bell, panel, all, more, list } = this.#parts;
    all.addEventListener('click', () => this.#client?.markAllRead());
    more.addEventListener('click', () => this.#client?.loadMore());
    list.addEventListener('click', (event) => this.#clicked(event));
    panel.addEventListener('keydown', (event) => this.#keyed(event));
    panel.addEventListener('beforetoggle', (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === 'open') this.#place();
      else this.#focusIsInside = panel.contains(shadow.activeElement);
    });
    panel.addEventListener('toggle', (event) => this.#toggled(/** @type {ToggleEvent} */ (event).newState === 'open'));
    bell.addEventListener('animationend', () => bell.classList.remove('is-ringing'));
  }

  /** Whose inbox it shows. The page starts and stops it. */
  get client() {
    return this.#client;
  }

  set client(client) {
    const attached = this.isConnected;
    if (attached) this.disconnectedCallback();
    this.#client = client;
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    if (attached) this.connectedCallback();
  }

  /** Whether the list is open. */
  get open() {
    return this.#parts.panel.matches(':popover-open');
  }

  connectedCallback() {
    if (Object.hasOwn(this, 'client')) {
      // Set before the element was defined: the plain property hides ours.
      const { client } = this;
      Reflect.deleteProperty(this, 'client');
      this.#client = client;
    }
    this.#attached = new AbortController();
    const { signal } = this.#attached;
    const client = this.#client;
    this.#watcher = new SeenWatcher(
      this.#parts.scroll,
      () => document.visibilityState === 'visible' && this.#client?.attention === 'active',
      (ids) => this.#client?.markSeen(ids),
    );
    client?.addEventListener('change', () => this.#drawSoon(), { signal });
    client?.addEventListener('status', () => this.#drawSoon(), { signal });
    client?.addEventListener('arrival', (event) => this.#arrived(/** @type {CustomEvent} */ (event).detail), { signal });
    document.addEventListener('visibilitychange', () => this.#followVisibility(), { signal });
    this.#followVisibility();
    this.#draw();
  }

  disconnectedCallback() {
    this.#attached?.abort();
    this.#watcher?.stop();
    clearInterval(this.#ageing);
  }

  attributeChangedCallback() {
    this.#drawSoon();
  }

  #followVisibility() {
    if (this.getAttribute('attention') !== 'manual') {
      this.#client?.setAttention(document.visibilityState === 'visible' ? 'active' : 'away');
    }
    this.#watcher?.update();
  }

  /** Many events in one turn are drawn once. */
  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      if (this.isConnected) this.#draw();
    });
  }

  #draw() {
    const { bell, badge, heading, all, offline, more, empty, loading } = this.#parts;
    const client = this.#client;
    const unread = client?.counts.unread ?? 0;
    const items = client?.items ?? [];
    const label = this.getAttribute('label') ?? 'Notifications';
    badge.hidden = unread === 0;
    badge.textContent = unread > 99 ? '99+' : String(unread);
    bell.setAttribute('aria-label', unread === 0 ? label : `${label}, ${unread} unread`);
    heading.textContent = label;
    all.disabled = unread === 0;
    offline.textContent = offlineText(client?.status ?? 'stopped');
    offline.hidden = offline.textContent === '';
    more.hidden = !client?.hasMore;
    loading.hidden = client?.loaded === true || client?.status === 'stopped' || client?.status === 'refused';
    empty.hidden = !client?.loaded || items.length > 0;
    if (client !== null && this.open) this.#drawRows(items);
    this.#watcher?.update();
  }

  /** Bring the rows in line with the items, keeping elements (and with them focus and scroll) where they are. */
  #drawRows(/** @type {Item[]} */ items) {
    const { list, panel } = this.#parts;
    const wanted = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      if (wanted.has(id)) continue;
      const focused = row.contains(this.shadowRoot?.activeElement ?? null);
      const heir = /** @type {HTMLElement|null} */ ((row.nextElementSibling ?? row.previousElementSibling)?.querySelector('.main'));
      this.#watcher?.unwatch(row);
      this.#rows.delete(id);
      row.remove();
      if (focused) (heir ?? panel).focus();
    }
    items.forEach((item, index) => {
      const row = this.#rows.get(item.id) ?? createRow();
      this.#rows.set(item.id, row);
      fillRow(row, item, this.#lang);
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
      if (item.seen_at === null) this.#watcher?.watch(row, item.id);
      else this.#watcher?.unwatch(row);
    });
  }

  #arrived(/** @type {{items: Item[]}} */ { items }) {
    const { bell, status } = this.#parts;
    bell.classList.remove('is-ringing');
    bell.getBoundingClientRect(); // lets the animation begin anew
    bell.classList.add('is-ringing');
    status.textContent = items.length === 1 ? `New: ${items[0].title}` : `${items.length} new notifications`;
  }

  #toggled(/** @type {boolean} */ open) {
    clearInterval(this.#ageing);
    this.#parts.bell.setAttribute('aria-expanded', String(open));
    if (!open) {
      if (this.#focusIsInside) this.#parts.bell.focus({ preventScroll: true });
      return;
    }
    this.#draw();
    this.#parts.panel.focus({ preventScroll: true });
    this.#ageing = setInterval(() => this.#rows.forEach((row) => ageRow(row, this.#lang)), AGE_MS);
    const closed = new AbortController();
    this.#parts.panel.addEventListener('toggle', () => closed.abort(), { signal: closed.signal });
    for (const type of ['resize', 'scroll']) {
      addEventListener(type, () => this.#place(), { signal: closed.signal, passive: true });
    }
  }

  /** Put the list below the button, within the window (above it, if there is more room). */
  #place() {
    const { bell, panel } = this.#parts;
    const button = bell.getBoundingClientRect();
    const [width, height] = [document.documentElement.clientWidth, window.innerHeight];
    const [below, above] = [height - button.bottom - 2 * GAP, button.top - 2 * GAP];
    const under = below >= LEAST_HEIGHT || below >= above;
    // Aligned with the button's outer edge, but never out of the window; CSS knows the width before it is shown.
    const [near, far] = button.left + button.right < width && button.right < width / 2 ? ['left', 'right'] : ['right', 'left'];
    const edge = near === 'left' ? button.left : width - button.right;
    Object.assign(panel.style, {
      top: under ? `${Math.max(GAP, button.bottom + GAP)}px` : 'auto',
      bottom: under ? 'auto' : `${height - button.top + GAP}px`,
      [near]: `max(${GAP}px, min(${edge}px, ${width - GAP}px - var(--bell-width, 384px)))`,
      [far]: 'auto',
      maxHeight: `${Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, under ? below : above))}px`,
    });
  }

  #clicked(/** @type {MouseEvent} */ event) {
    const target = /** @type {Element} */ (event.target);
    const row = /** @type {HTMLElement|null} */ (target.closest('li'));
    const item = this.#client?.items.find((one) => one.id === row?.dataset.id);
    if (item === undefined) return;
    if (target.closest('.archive')) {
      this.#client?.archive([item.id]);
    } else if (target.closest('.main')) {
      this.#client?.markRead([item.id]);
      const opening = new CustomEvent('notification-open', { bubbles: true, cancelable: true, detail: { item } });
      if (!this.dispatchEvent(opening)) event.preventDefault();
    }
  }

  #keyed(/** @type {KeyboardEvent} */ event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if ((event.key === 'Enter' || event.key === ' ') && target.matches('.main[role=button]')) {
      event.preventDefault();
      target.click();
      return;
    }
    const mains = /** @type {HTMLElement[]} */ ([...this.#parts.list.querySelectorAll('.main')]);
    const at = mains.findIndex((main) => main.parentElement?.contains(target));
    const to = { ArrowDown: at + 1, ArrowUp: at === -1 ? mains.length - 1 : at - 1, Home: 0, End: mains.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    mains[Math.min(Math.max(to, 0), mains.length - 1)]?.focus();
  }

  get #lang() {
    return this.closest('[lang]')?.getAttribute('lang') || navigator.language;
  }
}

/** @param {import('./connection.js').Status} status */
function offlineText(status) {
  if (status === 'online' || status === 'connecting') return '';
  return status === 'refused' ? 'Signed out. Please load the page again.' : 'Offline. What you do now is sent later.';
}
