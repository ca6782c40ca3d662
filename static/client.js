/**
 * A user's inbox, kept live: no DOM, no dependencies.
 *
 *     const client = new BellwireClient({ url: 'https://bell.example.com', token: async () => fetchToken() });
 *     client.addEventListener('change', () => render(client.items, client.counts));
 *     client.start();
 *
 * In a browser, all tabs that show the same user's inbox share one connection. Runs in pages, workers, and Node from 20.
 */

/**
 * @typedef {import('./store.js').Item} Item
 * @typedef {import('./store.js').Action} Action
 * @typedef {import('./store.js').Page} Page
 * @typedef {import('./store.js').Counts} Counts
 * @typedef {import('./connection.js').Status} Status
 *
 * @typedef {{status?: 'unread'|'read'|'unseen'|'all', category?: string, archived?: boolean, snoozed?: boolean,
 *   after?: string, limit?: number}} Filter
 *
 * @typedef {object} Arrival
 * @property {Item[]} items new here
 * @property {boolean} live not part of catching up
 *
 * @typedef {object} Failure
 * @property {string} code of the protocol, an HTTP status, or `unreachable`
 * @property {string} message
 * @property {Action} [action] what the hub refused to do, and is undone here
 * @property {string[]} [ids] of those items; none: all
 *
 * @typedef {object} ClientEvents
 * @property {CustomEvent<undefined>} change items, counts or attention differ
 * @property {CustomEvent<undefined>} status
 * @property {CustomEvent<Arrival>} arrival
 * @property {CustomEvent<Failure>} failure
 *
 * @typedef {object} TypedTarget an EventTarget that knows its events
 * @property {<Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void,
 *   options?: boolean|AddEventListenerOptions) => void} addEventListener
 * @property {<Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void,
 *   options?: boolean|EventListenerOptions) => void} removeEventListener
 * @property {(event: Event) => boolean} dispatchEvent
 */

import { Connection } from './connection.js';
import { identity } from './identity.js';
import { again, Outbox } from './outbox.js';
import { InboxStore } from './store.js';
import { canShare } from './shared-connection.js';
import { retryAfter } from './transport.js';

const Target = /** @type {new () => TypedTarget} */ (/** @type {unknown} */ (EventTarget));

export class BellwireClient extends Target {
  #store = new InboxStore();
  #connection;
  #getToken;
  #token = '';
  /** @type {'active'|'away'} */
  #attention = 'active';
  #stale = true;
  #reloading = false;
  #reloadAfter = 0; // milliseconds that the hub asked to wait
  #outbox;

  /** @type {string|null} whose inbox it is, once the hub has said so */
  user = null;

  /**
   * @param {object} options
   * @param {string} [options.url] the hub's address; in a page, its own origin if left out
   * @param {() => string|Promise<string>} options.token gives a valid token; asked before each connection and whenever
   *   the server no longer takes the last one
   * @param {number} [options.limit] items on a page, 1 to 100
   * @param {number} [options.rung] 0: WebSocket first; 1: streams only; 2: long polling only
   * @param {boolean} [options.shareConnection] false: a connection of its own, whatever other tabs have
   */
  constructor({ url = globalThis.location?.origin, token, limit = 25, rung = 0, shareConnection = true }) {
    super();
    this.url = url.replace(/\/+$/, '');
    this.limit = limit;
    this.#getToken = token;
    this.#connection = new Connection(this.url, rung, shareConnection && canShare(), {
      cursor: () => this.#store.cursor,
      position: () => this.#store.position,
      attention: () => this.#attention,
      onAttention: (state) => this.#outbox.tell({ type: 'presence', state }),
      token: () => this.#renewToken(),
      onFrame: (frame, live) => this.#receive(frame, live),
      onStatus: () => this.#emit('status'),
      onFailure: (code, message) => this.#fail(code, message),
    });
    this.#outbox = new Outbox({
      store: () => this.#store,
      connection: this.#connection,
      request: (path, options) => this.request(path, options),
      onRefused: (failure) => {
        this.#emit('failure', failure);
        this.#emit('change');
      },
    });
  }

  /** What the inbox shows, newest first. */
  get items() {
    return this.#store.items;
  }

  /** All that is held, newest first: the archived, the snoozed, and what `list` brought as well. */
  get known() {
    return this.#store.known;
  }

  /** The badge. */
  get counts() {
    return this.#store.counts;
  }

  /** Whether the newest page is here. */
  get loaded() {
    return this.#store.loaded;
  }

  /** Whether `loadMore` has something to load. */
  get hasMore() {
    return this.#store.next !== null;
  }

  /** @returns {import('./connection.js').Status} */
  get status() {
    return this.#connection.status;
  }

  /** When the next attempt is due (milliseconds since the epoch), while `waiting`. */
  get retryAt() {
    return this.#connection.retryAt;
  }

  /** `websocket`, `sse` or `poll`: what it uses, or would. */
  get transport() {
    return this.#connection.transport;
  }

  /** Whether somebody looks at this tab. */
  get attention() {
    return this.#attention;
  }

  /** Whether the connection is this tab's own: one of all that share it says so. For what only one of them is to do. */
  get leads() {
    return !this.#connection.follows;
  }

  /**
   * Connect, and stay connected until `stop`. What was missed meanwhile comes in by itself.
   *
   * @param {{signal?: AbortSignal}} [options] `signal` stops it
   */
  start({ signal } = {}) {
    if (signal?.aborted) return;
    this.#connection.start();
    signal?.addEventListener('abort', () => this.stop(), { once: true });
  }

  /** Disconnect. Items and cursor stay; marks made from now on are sent after the next `start`. */
  stop() {
    this.#connection.stop();
  }

  /** Try now instead of when the back-off ends. */
  retry() {
    this.#connection.retry();
  }

  /** Tell whether somebody is looking: it gates the fallback. @param {'active'|'away'} state */
  setAttention(state) {
    if (state === this.#attention) return;
    this.#attention = state;
    this.#connection.attend();
    this.#emit('change');
  }

  /** @param {Iterable<string>} ids visible in an open list for a second */
  markSeen(ids) {
    this.#mark('seen', ids);
  }

  /** @param {Iterable<string>} ids */
  markRead(ids) {
    this.#mark('read', ids);
  }

  /** @param {Iterable<string>} ids */
  markUnread(ids) {
    this.#mark('unread', ids);
  }

  /** @param {Iterable<string>} ids */
  archive(ids) {
    this.#mark('archive', ids);
  }

  /** @param {Iterable<string>} ids */
  unarchive(ids) {
    this.#mark('unarchive', ids);
  }

  /** Hide them until a time. @param {Iterable<string>} ids @param {Date} until in the future, at most a year away */
  snooze(ids, until) {
    this.#mark('snooze', ids, null, until.toISOString());
  }

  /** Mark read all there is up to now; what arrives while this is on its way stays unread. */
  markAllRead() {
    if (this.#store.cursor !== null) this.#mark('read', [], this.#store.cursor);
  }

  /** @param {Action} action @param {Iterable<string>} ids @param {string|null} [through] @param {string|null} [until] */
  #mark(action, ids, through, until) {
    this.#outbox.mark(action, [...ids], through, until);
    this.#emit('change');
  }

  /** Load the next page, older than all that is here. */
  async loadMore() {
    if (this.#store.next !== null) await this.#fetchPage(this.#store.next);
  }

  /**
   * Read a page by a filter. What it has is in `known` from then on, and changes there as the server tells; when the
   * client has to read the newest page anew (a `resync`), what only `list` brought is let go of.
   *
   * @param {Filter} [filter]
   * @returns {Promise<Page>}
   * @throws {Error} the hub is out of reach, or refused
   */
  list(filter = {}) {
    return this.#read(filter, (store, journal, page) => store.adopt(journal, page?.data ?? []));
  }

  /**
   * Call the hub as this user.
   *
   * @param {string} path @param {{method?: string, body?: object}} [options] a body makes it a POST, unless said otherwise
   * @returns {Promise<Response>}
   * @throws {Error} the hub is out of reach
   */
  async request(path, { method, body } = {}) {
    const request = () => {
      const headers = new Headers({ Authorization: `Bearer ${this.#token}` });
      if (body === undefined) return fetch(this.url + path, { method, headers, cache: 'no-store' });
      headers.set('Content-Type', 'application/json');
      return fetch(this.url + path, { method: method ?? 'POST', headers, body: JSON.stringify(body), keepalive: true });
    };
    if (this.#token === '') await this.#renewToken();
    const answer = await request();
    if (answer.status !== 401) return answer;
    await this.#renewToken();
    return request();
  }

  /** @param {any} frame @param {boolean} live */
  #receive(frame, live) {
    if (frame.type === 'error') {
      this.#outbox.refused(frame);
      return;
    }
    const before = this.counts;
    const { reload, arrived } = this.#store.apply(frame);
    if (frame.type === 'ready') {
      this.user = frame.user;
      this.#outbox.repeat();
    }
    if (frame.type === 'item' && frame.item.seen_at === null && this.leads) this.#outbox.acknowledge([frame.item.id]);
    this.#stale ||= reload || frame.type === 'resync';
    if (this.#stale) this.#reload();
    const { unread, unseen } = this.counts;
    if (frame.type !== 'ping' || unread !== before.unread || unseen !== before.unseen) this.#emit('change');
    if (arrived.length > 0 && this.loaded) this.#emit('arrival', { items: arrived, live });
  }

  async #reload() {
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#stale && this.status !== 'stopped' && this.status !== 'refused') {
      this.#stale = false; // a `resync` during the fetch sets it again
      if (await this.#fetchPage(null)) continue;
      this.#stale = true;
      const wait = again(this.#reloadAfter);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    this.#reloading = false;
  }

  /** @param {string|null} after null: the newest page @returns {Promise<boolean>} whether it came */
  async #fetchPage(after) {
    try {
      const page = await this.#read(after === null ? {} : { after }, (store, journal, read) =>
        store.endPage(journal, read, { newest: after === null }),
      );
      this.#outbox.acknowledge(page.data.filter((item) => item.seen_at === null).map((item) => item.id));
      return true;
    } catch (error) {
      const { code = 'unreachable', message, afterMs = 0 } = /** @type {Partial<Refused>} */ (error);
      this.#reloadAfter = afterMs ?? 0;
      this.#fail(code, message ?? '');
      return false;
    }
  }

  /**
   * Read a page; what comes in live meanwhile is not lost.
   *
   * @param {Filter} filter
   * @param {(store: InboxStore, journal: import('./store.js').Journal, page: Page|null) => void} take null: it did not come
   * @returns {Promise<Page>}
   */
  async #read(filter, take) {
    const store = this.#store;
    const journal = store.beginPage();
    /** @type {Page|null} */
    let page = null;
    try {
      const query = /** @type {any} */ ({ limit: this.limit, ...filter });
      const answer = await this.request(`/v1/inbox?${new URLSearchParams(query)}`);
      if (!answer.ok) throw new Refused(answer);
      page = /** @type {Page} */ (await answer.json());
      return page;
    } finally {
      take(store, journal, page);
      if (page !== null) this.#emit('change');
    }
  }

  async #renewToken() {
    const token = await this.#getToken();
    if (this.#token !== '' && identity(token) !== identity(this.#token)) {
      // Somebody else has signed in: nothing of the former user's may be shown or sent.
      this.#store = new InboxStore();
      this.#stale = true;
      this.#outbox.forget();
      this.user = null;
      if (this.status === 'online') this.#connection.restart();
      this.#emit('change');
    }
    this.#token = token;
    return token;
  }

  /** @param {string} code @param {string} message */
  #fail(code, message) {
    this.#emit('failure', { code, message });
  }

  /** @param {keyof ClientEvents} type @param {Arrival|Failure} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The hub's answer is no page. */
class Refused extends Error {
  /** @param {Response} answer */
  constructor(answer) {
    super(`the hub answered ${answer.status}`);
    this.code = String(answer.status);
    this.afterMs = retryAfter(answer);
  }
}
