/**
 * A user's inbox, kept live: no DOM, no dependencies.
 *
 *     const client = new BellwireClient({ url: 'https://bell.example.com', token: async () => fetchToken() });
 *     client.addEventListener('change', () => render(client.items, client.counts));
 *     client.start();
 *
 * Events: `change` (items, counts or attention differ), `status`, `arrival` (`detail.items`: new here; `detail.live`:
 * not part of catching up), `failure` (`detail.code`, `detail.message`).
 *
 * @typedef {import('./store.js').Item} Item
 * @typedef {import('./store.js').Action} Action
 * @typedef {import('./store.js').Page} Page
 * @typedef {import('./store.js').Mark} Mark
 */

import { Connection } from './connection.js';
import { InboxStore } from './store.js';
import { retryAfter } from './transport.js';

const DELIVERED_MS = 200; // gather acknowledgements for this long
const RELOAD_MS = { least: 1_000, spread: 4_000 }; // between attempts to read the newest page
const MOST_IDS = 500; // of one frame, well below what the server takes

export class BellwireClient extends EventTarget {
  #store = new InboxStore();
  #connection;
  #getToken;
  #token = '';
  /** @type {'active'|'away'} */
  #attention = 'active';
  #toldAttention = '';
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
   */
  constructor({ url = globalThis.location?.origin, token, limit = 25, rung = 0 }) {
    super();
    this.url = url.replace(/\/+$/, '');
    this.limit = limit;
    this.#getToken = token;
    this.#connection = new Connection(this.url, rung, {
      cursor: () => this.#store.cursor,
      attention: () => (this.#toldAttention = this.#attention),
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

  get attention() {
    return this.#attention;
  }

  /** Connect, and stay connected until `stop`. What was missed meanwhile comes in by itself. */
  start() {
    this.#connection.start();
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
    if (this.status === 'online') this.#tellAttention();
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
    const journal = this.#store.beginPage();
    /** @type {Page|null} */
    let page = null;
    try {
      const query = Object.entries({ limit: this.limit, ...filter }).map(([name, value]) => [name, String(value)]);
      const answer = await this.request(`/v1/inbox?${new URLSearchParams(query)}`);
      if (!answer.ok) throw new Error(`the hub answered ${answer.status}`);
      page = /** @type {Page} */ (await answer.json());
      return page;
    } finally {
      this.#store.adopt(journal, page?.data ?? []);
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
    if (frame.type === 'item' && frame.item.seen_at === null) this.#acknowledge([frame.item.id]);
    this.#stale ||= reload || frame.type === 'resync';
    if (this.#stale) this.#reload();
    const { unread, unseen } = this.counts;
    if (frame.type !== 'ping' || unread !== before.unread || unseen !== before.unseen) this.#emit('change');
    if (arrived.length > 0 && this.loaded) this.#emit('arrival', { items: arrived, live });
  }

  /** Say again what the last connection may have lost. */
  #onReady() {
    if (this.#toldAttention !== this.#attention) this.#tellAttention();
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
      const wait = Math.max(this.#reloadAfter, RELOAD_MS.least) + Math.random() * RELOAD_MS.spread;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    this.#reloading = false;
  }

  /** @param {string|null} after null: the newest page @returns {Promise<boolean>} whether it came */
  async #fetchPage(after) {
    const journal = this.#store.beginPage();
    /** @type {import('./store.js').Page|null} */
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
    this.#store.endPage(journal, page, { newest: after === null });
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
    if (mark.late.length > 0) this.#tell(mark.action, { ids: mark.late }, mark.ref);
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
        if (answer.status < 400 || answer.status >= 500) return; // the stream confirms it, or `ready` repeats it
        this.#refused({ ref, code: String(answer.status), message: answer.statusText });
      } catch (error) {
        this.#fail('unreachable', String(error));
      }
    });
  }

  /** @param {{ref?: number|null, code: string, message: string}} refusal */
  #refused({ ref = null, code, message }) {
    if (ref !== null) this.#store.forget(ref);
    this.#fail(code, message);
    this.#emit('change');
  }

  /** Tell the server soon that these items have arrived. @param {string[]} ids */
  #acknowledge(ids) {
    for (const id of ids) this.#delivered.add(id);
    this.#deliveredTimer ??= setTimeout(() => {
      this.#deliveredTimer = undefined;
      if (this.status !== 'online' || this.#delivered.size === 0) return;
      this.#tell('delivered', { ids: [...this.#delivered].slice(0, MOST_IDS) });
      this.#delivered.clear();
    }, DELIVERED_MS);
  }

  #tellAttention() {
    const state = this.#attention;
    this.#toldAttention = state;
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
    const answer = await request();
    if (answer.status !== 401) return answer;
    await this.#renewToken();
    return request();
  }

  async #renewToken() {
    this.#token = await this.#getToken();
    return this.#token;
  }

  /** @param {string} code @param {string} message */
  #fail(code, message) {
    this.#emit('failure', { code, message });
  }

  /** @param {string} type @param {object} [detail] */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
