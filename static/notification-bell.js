import { followAttention } from './attention.js';
import { Extras, EXTRAS } from './bell/extras.js';
import { whenIdle } from './bell/idle.js';
import { inbox } from './bell/inbox-view.js';
import { handleKey } from './bell/keys.js';
import { languageOf, locales, wordsFor } from './bell/messages.js';
import { buildParts, speak } from './bell/parts.js';
import { place } from './bell/place.js';
import { bellStyle } from './bell/style.js';

/**
 * @typedef {import('./client.js').BellwireClient} BellwireClient
 * @typedef {import('./store.js').Item} Item
 * @typedef {import('./bell/messages.js').Words} Words
 * @typedef {import('./bell/item-list.js').ItemList} ItemList
 * @typedef {import('./bell/item-list.js').RenderItem} RenderItem
 * @typedef {import('./bell/inbox-view.js').View} View
 * @typedef {import('./bell/row-actions.js').ItemAction} ItemAction
 */

const AGE_MS = 30_000; // between updates of the relative times
const HIDDEN_MS = 250; // between drawings of a page that is not visible
const AHEAD = '400px'; // of the end of the list, where the next page is asked for
const MOST_COUNTED = 99;

/**
 * A button with a badge, and the list it opens. Give it a client; the page starts and stops that.
 *
 * @tagname notification-bell
 *
 * @attr {string} label - What the button and the list are called; "Notifications" in the page's language unless given.
 * @attr {string} tabs - Names separated by commas: `all`, `unread`, `archived`, `snoozed`, or a category; with a label of your own after `=`, as in `all, unread, order.shipped=Orders, archived`. Without it, there is the whole inbox and no row of tabs.
 * @attr {"light"|"dark"|"auto"} theme - `auto` follows the system. Without it, the page's own `color-scheme` decides.
 * @attr {string} lang - The language, if not that of the element's surroundings (`lang` of the page).
 * @attr {"manual"} attention - The page tells the client itself whether somebody looks (`client.setAttention`), instead of by the tab's visibility and signs of life (`followAttention`).
 * @attr {boolean|"top"} toasts - Shows what arrives while the list is closed in a corner of the window, for a while; `top` for an upper corner.
 * @attr {string} sound - Plays a short chime for what arrives, or the audio file with this URL.
 * @attr {boolean} title-badge - Puts the number of unread notifications in front of the page's title.
 * @attr {boolean} app-badge - Puts it on the icon of an installed web app.
 * @attr {string} push - Offers web push in the settings. The value is the URL of `webpush-sw.js` on the page's own origin; empty if the page registers a worker itself, as it has to under Trusted Types.
 * @attr {string} push-key - The hub's public VAPID key, for `push`.
 * @attr {boolean} preferences - Offers the user's choice of channels in the settings, where the hub has one.
 *
 * @fires {CustomEvent<{item: Item}>} notification-open - Somebody opened a notification. Cancel it to keep the browser from following its link. Bubbles.
 * @fires {CustomEvent<{item: Item, action: ItemAction}>} notification-action - A button of a notification was pressed. Cancel it to keep the browser from following its link. Bubbles.
 * @fires {CustomEvent<{open: boolean}>} notification-toggle - The list was opened or closed. Bubbles.
 * @fires {CustomEvent<{subscription: PushSubscription}>} push-subscription - The browser was subscribed to push. Cancel it to register the endpoint yourself. Bubbles.
 *
 * @slot icon - What is on the button instead of the drawing of a bell.
 * @slot tools - More buttons at the top of the list.
 * @slot empty - What an empty list shows.
 * @slot footer - What stands below the list.
 *
 * @csspart button - The button.
 * @csspart badge - The number on it.
 * @csspart panel - What the button opens.
 * @csspart header - The line at its top.
 * @csspart heading - Its name.
 * @csspart mark-all - "Mark all read".
 * @csspart tab - One tab.
 * @csspart banner - The line that says "Offline".
 * @csspart day - The day above its notifications.
 * @csspart row - One notification, with all that belongs to it.
 * @csspart item - What is clicked to open it.
 * @csspart avatar - The picture or the initials of whoever did it.
 * @csspart title - Its title.
 * @csspart body - Its text.
 * @csspart time - When it came.
 * @csspart dot - The mark of what is unread.
 * @csspart action - A button that came with a notification.
 * @csspart tool - A button that is only a drawing: read, snooze, archive, settings, close.
 * @csspart empty - What a list says that is empty, or could not be loaded.
 * @csspart menu - The times to snooze until.
 * @csspart settings - The settings.
 * @csspart toast - One toast.
 *
 * @cssprop --bell-accent - Links, buttons, the mark of what is unread.
 * @cssprop --bell-accent-text - Text on the accent colour.
 * @cssprop --bell-surface - Ground of the list and of toasts.
 * @cssprop --bell-hover - Ground of what the mouse is over.
 * @cssprop --bell-fresh - Ground of what is unread; transparent by default.
 * @cssprop --bell-text - Text.
 * @cssprop --bell-muted - Text that matters less; keep its contrast above 4.5 on all grounds.
 * @cssprop --bell-border - Lines.
 * @cssprop --bell-badge - Ground of the badge.
 * @cssprop --bell-badge-text - The number on it.
 * @cssprop --bell-ring - The ring around it: the colour of what the button stands on.
 * @cssprop --bell-icon - The drawing of a bell.
 * @cssprop --bell-size - Width and height of the button. Default: `40px`.
 * @cssprop --bell-width - Width of the list. Default: `400px`.
 * @cssprop --bell-radius - Roundness of list and toasts. Default: `14px`.
 * @cssprop --bell-avatar-radius - Roundness of avatars. Default: `50%`.
 * @cssprop --bell-shadow - Shadow of list and toasts.
 * @cssprop --bell-font - Font family.
 */
export class NotificationBell extends HTMLElement {
  /** @ignore */
  static observedAttributes = ['label', 'lang', ...EXTRAS];

  /** @type {BellwireClient|null} */
  #client = null;
  /** @type {AbortController|null} ends what listens while connected to the page */
  #attached = null;
  /** @type {AbortController|null} ends what goes on while the list is open */
  #opened = null;
  /** @type {Words|null} */
  #words = null;
  #lang = '';
  #drawing = false;
  #focusIsInside = false;
  #parts = buildParts();
  #extras = new Extras();
  /** @type {ItemList|null} null: not here yet */
  #list = null;
  #learning = false; // whether the list is on its way
  #failed = false; // whether it did not come
  /** @type {RenderItem|null} */
  #renderItem = null;
  #view = inbox;

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: 'open' });
    const { bell, panel, all, more, retry, status } = this.#parts;
    shadow.adoptedStyleSheets = [bellStyle];
    shadow.append(bell, panel, status);
    all.onclick = () => this.#client?.markAllRead();
    more.onclick = () => this.#more();
    retry.onclick = () => {
      this.#client?.retry();
      this.#statusChanged();
    };
    panel.onkeydown = (event) => handleKey(panel, event, (step) => this.#list?.move(step));
    panel.onbeforetoggle = ({ newState }) => {
      if (newState === 'open') place(bell, panel);
      else this.#focusIsInside = panel.contains(shadow.activeElement);
    };
    panel.ontoggle = ({ newState }) => this.#toggled(newState === 'open');
    bell.onpointerenter = bell.onfocus = () => this.#learn();
    bell.onanimationend = () => bell.classList.remove('is-ringing');
  }

  /** Whose inbox it shows. The page starts and stops it. @type {BellwireClient|null} */
  get client() {
    return this.#client;
  }

  set client(client) {
    const attached = this.isConnected;
    if (attached) this.disconnectedCallback();
    this.#client = client;
    this.#list?.clear();
    if (attached) this.connectedCallback();
  }

  /**
   * Makes the element that stands for a notification in the list; null: as usual. It becomes a child of the bell, in a
   * slot, so the page's own styles reach it.
   *
   * @type {RenderItem|null}
   */
  get renderItem() {
    return this.#renderItem;
  }

  set renderItem(render) {
    this.#list?.clear();
    this.#renderItem = render;
    this.#drawSoon();
  }

  /** What the list shows. @ignore @type {View} */
  get view() {
    return this.#view;
  }

  set view(view) {
    this.#view = view;
    this.#parts.scroll.scrollTop = 0;
    this.#draw();
  }

  /** Whether the list is open. @type {boolean} */
  get open() {
    return this.#parts.panel.matches(':popover-open');
  }

  /** How to speak to whoever reads this, in the page's language. @type {Words} @readonly */
  get words() {
    const lang = languageOf(this);
    if (this.#words === null || lang !== this.#lang) {
      this.#words = wordsFor(lang);
      this.#lang = lang;
    }
    return this.#words;
  }

  /** Open the list. */
  show() {
    if (!this.open) this.#parts.panel.showPopover();
  }

  /** Close the list. */
  hide() {
    if (this.open) this.#parts.panel.hidePopover();
  }

  /** Have a screen reader say something, when it has nothing else to say. @param {string} text */
  announce(text) {
    this.#parts.status.textContent = text;
  }

  /**
   * Do what a click on a notification does.
   *
   * @param {Item} item
   * @param {Event} event of the click on its link; prevented if the page cancels `notification-open`
   */
  activate(item, event) {
    this.#client?.markRead([item.id]);
    if (!this.#tell('notification-open', { item })) event.preventDefault();
    if (item.action_url !== null) this.hide();
  }

  /** @ignore */
  connectedCallback() {
    for (const name of /** @type {const} */ (['client', 'renderItem'])) {
      if (!Object.hasOwn(this, name)) continue;
      // Set before the element was defined: the plain property hides ours.
      const value = /** @type {any} */ (this[name]);
      Reflect.deleteProperty(this, name);
      this[name] = value;
    }
    if (this.#attached?.signal.aborted === false) return;
    this.#attached = new AbortController();
    const { signal } = this.#attached;
    const client = this.#client;
    const draw = () => this.#drawSoon();
    client?.addEventListener('change', draw, { signal });
    client?.addEventListener('status', () => this.#statusChanged(), { signal });
    client?.addEventListener('arrival', (event) => this.#arrived(/** @type {CustomEvent} */ (event).detail), { signal });
    document.addEventListener('visibilitychange', () => this.#list?.look(), { signal });
    locales.addEventListener('change', () => this.#speakAnew(), { signal });
    // Asked for again after each page, as long as the end stays near.
    const nearing = new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && this.#more(nearing), {
      root: this.#parts.scroll,
      rootMargin: AHEAD,
    });
    nearing.observe(this.#parts.more);
    signal.onabort = () => nearing.disconnect();
    if (client !== null && this.getAttribute('attention') !== 'manual') followAttention(client, { signal });
    for (const name of EXTRAS) this.#extras.follow(this, name);
    this.#draw();
  }

  /** @ignore */
  disconnectedCallback() {
    this.#attached?.abort();
    this.#list?.clear();
    this.#extras.end();
    this.#opened?.abort();
  }

  /** @ignore @param {string} name */
  attributeChangedCallback(name) {
    if (this.isConnected && EXTRAS.includes(name)) this.#extras.follow(this, name);
    this.#drawSoon();
  }

  #speakAnew() {
    this.#words = null;
    this.#drawSoon();
  }

  /** Fetch what rows are made of: when somebody is about to open the list, or the page has nothing else to do. */
  async #learn() {
    if (this.#learning) return;
    this.#learning = true;
    try {
      const { ItemList } = await import('./bell/item-list.js');
      this.#list = new ItemList(this, this.#parts.list, this.#parts.scroll);
      this.#failed = false;
    } catch {
      this.#learning = false;
      this.#failed = true;
    }
    if (this.isConnected) this.#draw();
  }

  #statusChanged() {
    this.#view.failed = this.#failed = false; // another attempt
    this.#drawSoon();
  }

  /** Many events before the next frame are drawn once. */
  #drawSoon() {
    if (this.#drawing) return;
    this.#drawing = true;
    const draw = () => {
      this.#drawing = false;
      if (this.isConnected) this.#draw();
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(draw);
    else setTimeout(draw, HIDDEN_MS); // there are no frames
  }

  #draw() {
    const { bell, badge, panel, all } = this.#parts;
    const { words } = this;
    const unread = this.#client?.counts.unread ?? 0;
    const label = this.getAttribute('label') ?? words.say('label');
    badge.hidden = unread === 0;
    badge.textContent = unread > MOST_COUNTED ? `${words.number(MOST_COUNTED)}+` : words.number(unread);
    bell.setAttribute('aria-label', unread === 0 ? label : `${label}, ${words.say('unreadCount', { count: unread })}`);
    for (const element of [bell, panel]) element.dir = words.direction;
    all.disabled = unread === 0;
    if (this.#client !== null && this.open) this.#drawPanel(this.#client, label, words);
    else if (this.#client?.loaded && !this.#learning && !this.#failed) whenIdle(() => this.#learn());
    this.#list?.look();
  }

  /** @param {BellwireClient} client @param {string} label @param {Words} words */
  #drawPanel(client, label, words) {
    const { heading, banner, more, notice, loading } = this.#parts;
    const view = this.#view;
    const { status } = client;
    const items = this.#list === null ? [] : view.items(client);
    const loaded = this.#list !== null && view.loaded(client);
    const failed = this.#failed || (!loaded && (view.failed || status === 'waiting'));
    heading.textContent = label;
    banner.hidden = status === 'online' || status === 'connecting';
    banner.textContent = words.say(status === 'refused' ? 'signedOut' : 'offline');
    more.hidden = !loaded || !view.hasMore(client);
    notice.hidden = items.length > 0 || !(failed || (loaded && more.hidden));
    loading.hidden = loaded || failed || items.length > 0 || status === 'stopped' || status === 'refused';
    speak(this.#parts, words, view, failed);
    if (this.#list === null && !failed) this.#learn();
    this.#list?.draw(items);
    view.refresh(client)?.then(() => this.#drawSoon());
  }

  /** Bring in the next page. @param {IntersectionObserver} [nearing] */
  async #more(nearing) {
    const view = this.#view;
    if (this.#client === null || view.loading || !view.hasMore(this.#client)) return;
    const before = view.items(this.#client).length;
    await view.more(this.#client);
    if (this.#client !== null && view.items(this.#client).length > before) {
      nearing?.unobserve(this.#parts.more);
      nearing?.observe(this.#parts.more);
    }
  }

  /** @param {{items: Item[]}} arrival */
  #arrived({ items }) {
    const { bell } = this.#parts;
    bell.classList.remove('is-ringing');
    bell.getBoundingClientRect(); // lets the animation begin anew
    bell.classList.add('is-ringing');
    const [{ title }] = items;
    this.announce(this.words.say(items.length === 1 ? 'arrivedOne' : 'arrivedMany', { title, count: items.length }));
  }

  #toggled(/** @type {boolean} */ open) {
    const { bell, panel } = this.#parts;
    this.#opened?.abort();
    bell.setAttribute('aria-expanded', String(open));
    this.#tell('notification-toggle', { open });
    if (!open) {
      if (this.#focusIsInside) bell.focus({ preventScroll: true });
      return;
    }
    this.#learn();
    this.#draw();
    panel.focus({ preventScroll: true });
    this.#opened = new AbortController();
    const { signal } = this.#opened;
    const ageing = setInterval(() => this.#list?.age(), AGE_MS);
    signal.onabort = () => clearInterval(ageing);
    for (const type of ['resize', 'scroll']) {
      addEventListener(type, () => place(bell, panel), { signal, passive: true });
    }
  }

  /** @param {string} type @param {object} detail @returns {boolean} whether nobody cancelled it */
  #tell(type, detail) {
    return this.dispatchEvent(new CustomEvent(type, { bubbles: true, composed: true, cancelable: true, detail }));
  }
}
