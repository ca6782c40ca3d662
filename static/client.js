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
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {import('./store.js').Counts} Counts
 * @typedef {import('./connection.js').Status} Status
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
import { InboxStore } from './store.js';
import { canShare } from './shared-connection.js';
import { retryAfter } from './transport.js';

const DELIVERED_MS = 200; // gather acknowledgements for this long
const AGAIN_MS = { least: 1_000, spread: 4_000 }; // between attempts at what the hub could not do just now
const MOST_IDS = 500; // of one frame, well below what the server takes
const UNAVAILABLE = 'unavailable'; // the code of what the hub can't do now

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
  /** @type {Set<string>} */
  #delivered = new Set();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #deliveredTimer;
  #posting = Promise.resolve();

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
      onAttention: (state) => this.#tellAttention(state),
      token: () => this.#renewToken(),
      onFrame: (frame, live) => this.#receive(frame, live),
      onStatus: () => this.#emit('status'),
      onFailure: (code, message) => this.#fail(code, message),
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

  /** Load the next page, older than all that is here. */
  async loadMore() {
    if (this.#store.next !== null) await this.#fetchPage(this.#store.next);
  }

  /**
   * Read a page by a filter. What it has is in `known` from then on, and changes there as the server tells; when the
   * client has to read the newest page anew (a `resync`), what only `list` brought is let go of.
   *
   * @param {{status?: 'unread'|'read'|'unseen'|'all', category?: string, archived?: boolean, snoozed?: boolean,
   *   after?: string, limit?: number}} [filter]
   * @returns {Promise<Page>}
   * @throws {Error} the hub is out of reach, or refused
   */
  async list(filter = {}) {
    const store = this.#store;
    const journal = store.beginPage();
    /** @type {Page|null} */
    let page = null;
    try {
      const query = Object.entries({ limit: this.limit, ...filter }).map(([name, value]) => [name, String(value)]);
      const answer = await this.request(`/v1/inbox?${new URLSearchParams(query)}`);
      if (!answer.ok) throw new Error(`the hub answered ${answer.status}`);
      page = /** @type {Page} */ (await answer.json());
      return page;
    } finally {
      store.adopt(journal, page?.data ?? []);
      if (page !== null) this.#emit('change');
    }
  }

  /**
   * Call the hub as this user.
   *
   * @param {string} path @param {{method?: string, body?: object}} [options] a body makes it a POST, unless said otherwise
   * @returns {Promise<Response>}
   * @throws {Error} the hub is out of reach
   */
  request(path, { method, body } = {}) {
    return this.#call(path, body, method);
  }

  /** @param {any} frame @param {boolean} live */
  #receive(frame, live) {
    if (frame.type === 'error') {
      this.#refused(frame);
      return;
    }
    const before = this.counts;
    const { reload, arrived } = this.#store.apply(frame);
    if (frame.type === 'ready') {
      this.user = frame.user;
      this.#onReady();
    }
    if (frame.type === 'item' && frame.item.seen_at === null && this.leads) this.#acknowledge([frame.item.id]);
    this.#stale ||= reload || frame.type === 'resync';
    if (this.#stale) this.#reload();
    const { unread, unseen } = this.counts;
    if (frame.type !== 'ping' || unread !== before.unread || unseen !== before.unseen) this.#emit('change');
    if (arrived.length > 0 && this.loaded) this.#emit('arrival', { items: arrived, live });
  }

  /** Say again what the last connection may have lost. */
  #onReady() {
    for (const mark of this.#store.marks) this.#transmit(mark);
    this.#acknowledge([]);
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
    const store = this.#store;
    const journal = store.beginPage();
    /** @type {Page|null} */
    let page = null;
    try {
      const query = new URLSearchParams({ limit: String(this.limit), ...(after === null ? {} : { after }) });
      const answer = await this.#call(`/v1/inbox?${query}`);
      if (answer.ok) page = await answer.json();
      else this.#fail(String(answer.status), answer.statusText);
      this.#reloadAfter = retryAfter(answer) ?? 0;
    } catch (error) {
      this.#fail('unreachable', String(error));
    }
    store.endPage(journal, page, { newest: after === null });
    if (page === null) return false;
    this.#acknowledge(page.data.filter((item) => item.seen_at === null).map((item) => item.id));
    this.#emit('change');
    return true;
  }

  /** @param {Action} action @param {Iterable<string>} ids @param {string|null} [through] @param {string|null} [until] */
  #mark(action, ids, through = null, until = null) {
    const list = [...ids];
    for (let start = 0; start === 0 || start < list.length; start += MOST_IDS) {
      const mark = this.#store.mark(action, list.slice(start, start + MOST_IDS), through, until);
      if (mark !== null && this.status === 'online') this.#transmit(mark);
    }
    this.#emit('change');
  }

  /** Send a mark, or send it again: the server takes it twice without harm. @param {Mark} mark */
  #transmit(mark) {
    const which = {
      ...(mark.through === null ? { ids: [...mark.ids] } : { all: true, through: mark.through }),
      ...(mark.until === null ? {} : { until: mark.until }),
    };
    Object.assign(mark, { sent: true, counted: false, pings: 0 });
    this.#tell(mark.action, which, mark.ref);
    for (let start = 0; start < mark.late.length; start += MOST_IDS) {
      this.#tell(mark.action, { ids: mark.late.slice(start, start + MOST_IDS) }, mark.ref);
    }
  }

  /** @param {string} action @param {object} which @param {number} [ref] */
  #tell(action, which, ref) {
    if (this.#connection.send !== null) {
      this.#connection.send({ type: action, ...which, ref });
      return;
    }
    this.#posting = this.#posting.then(async () => {
      try {
        const answer = await this.#call(`/v1/inbox/${action}`, which);
        if (answer.ok) return; // the stream confirms it
        const isOver = answer.status < 500 && answer.status !== 429;
        this.#refused({ ref, code: isOver ? String(answer.status) : UNAVAILABLE, message: answer.statusText }, retryAfter(answer));
      } catch (error) {
        this.#refused({ ref, code: UNAVAILABLE, message: String(error) });
      }
    });
  }

  /**
   * Undo what the hub will not do; what it can't do now is said again.
   *
   * @param {{ref?: number|null, code: string, message: string}} refusal @param {number|null} [after] milliseconds
   */
  #refused({ ref, code, message }, after = null) {
    const mark = this.#store.marks.find((one) => one.ref === ref);
    if (mark !== undefined && code === UNAVAILABLE) {
      mark.sent = false; // so that the silence about it is not taken for an answer
      setTimeout(() => {
        if (!mark.sent && this.status === 'online' && this.#store.marks.includes(mark)) this.#transmit(mark);
      }, again(after));
      return;
    }
    if (mark !== undefined) this.#store.forget(mark.ref);
    const { action, ids } = mark ?? {};
    this.#emit('failure', { code, message, action, ids: ids && [...ids] });
    this.#emit('change');
  }

  /** Tell the server soon that these items have arrived. @param {string[]} ids */
  #acknowledge(ids) {
    for (const id of ids) this.#delivered.add(id);
    this.#deliveredTimer ??= setTimeout(() => {
      this.#deliveredTimer = undefined;
      if (this.status !== 'online') return;
      const arrived = [...this.#delivered];
      this.#delivered.clear();
      while (arrived.length > 0) this.#tell('delivered', { ids: arrived.splice(0, MOST_IDS) });
    }, DELIVERED_MS);
  }

  /** @param {'active'|'away'} state */
  #tellAttention(state) {
    if (this.#connection.send !== null) {
      this.#connection.send({ type: 'presence', state });
      return;
    }
    this.#call('/v1/presence', { connection: this.#connection.id, state }).then(
      (answer) => answer.ok || this.#fail(String(answer.status), answer.statusText),
      (error) => this.#fail('unreachable', String(error)),
    );
  }

  /** @param {string} path @param {object} [body] makes it a POST @param {string} [method] @returns {Promise<Response>} */
  async #call(path, body, method) {
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

  async #renewToken() {
    const token = await this.#getToken();
    if (this.#token !== '' && identity(token) !== identity(this.#token)) {
      // Somebody else has signed in: nothing of the former user's may be shown or sent.
      this.#store = new InboxStore();
      this.#stale = true;
      this.#delivered.clear();
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

/** @param {number|null} asked @returns {number} milliseconds until an attempt at what could not be done just now */
function again(asked) {
  return Math.max(asked ?? 0, AGAIN_MS.least) + Math.random() * AGAIN_MS.spread;
}
