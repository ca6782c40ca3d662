/** A client without a hub: the same interface as `BellwireClient`, with an inbox made up in memory. */

import { byAge } from '../store.js';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const PAGE = 25;

/** @typedef {import('../store.js').Item} Item */

/** Minutes ago, and what a notification has of its own. @type {[number, object][]} */
const SAMPLES = [
  [1, { title: 'Grace Hopper asked you to review “Launch plan”', body: 'The timeline is new. Could you have a look before Friday?', actor: { name: 'Grace Hopper' }, category: 'review', action_url: '/plans/launch', data: { actions: [{ id: 'approve', label: 'Approve' }, { id: 'later', label: 'Ask for changes' }] } }],
  [14, { title: 'Your order is on its way', body: 'Parcel 1042 arrives tomorrow between 9 and 12.', actor: { name: 'Parcel Desk' }, category: 'order', action_url: '/orders/1042' }],
  [190, { title: 'Alan Turing commented on “Bombe, revised”', body: '“Love the second draft. Shall we ship it on Friday?”', actor: { name: 'Alan Turing' }, category: 'comment', read: true, action_url: '/papers/7' }],
  [1_500, { title: 'Build 8127 failed', body: 'integration-tests: 2 of 1,340 failed on main.', actor: { name: 'Build' }, category: 'build', priority: 'high' }],
  [1_620, { title: 'Katherine Johnson joined your team', body: '', actor: { name: 'Katherine Johnson' }, category: 'team', read: true }],
  [4_300, { title: 'Your invoice for October is ready', body: 'It will be charged on the 1st.', actor: { name: 'Accounts' }, category: 'order', read: true, action_url: '/invoices/10' }],
];

let made = 0;

/** @param {Partial<Item> & {read?: boolean}} own @param {number} [at] when it appeared @returns {Item} */
export function sampleItem({ read = false, ...own }, at = Date.now()) {
  made += 1;
  const time = new Date(at).toISOString();
  const seen = read ? time : null;
  return {
    id: `sample-${String(made).padStart(6, '0')}`, version: 1, category: 'general', title: 'Something happened', body: '',
    action_url: null, data: null, actor: null, priority: 'normal', created_at: time, appeared_at: time, expires_at: null,
    seen_at: seen, read_at: seen, archived_at: null, snoozed_until: null, ...own,
  };
}

/** @param {number} [count] more than the samples: the last one again and again, further back */
export function sampleItems(count = SAMPLES.length) {
  const first = Date.now();
  return Array.from({ length: count }, (_, index) => {
    const [minutes, own] = SAMPLES[index % SAMPLES.length];
    return sampleItem(own, first - minutes * MINUTE - Math.floor(index / SAMPLES.length) * 4 * DAY);
  });
}

export class SampleClient extends EventTarget {
  /** @type {import('../connection.js').Status} */
  status = 'online';
  user = 'sample';
  loaded = true;
  /** @type {'active'|'away'} */
  attention = 'active';
  /** What `request` answers. @type {(path: string, options?: {method?: string, body?: object}) => Response|Promise<Response>} */
  answer = () => new Response('', { status: 404 });
  /** @type {Map<string, Item>} */
  #items = new Map();
  #shown = PAGE;

  /** @param {Item[]} items */
  constructor(items = sampleItems()) {
    super();
    for (const item of items) this.#items.set(item.id, item);
  }

  get known() {
    return [...this.#items.values()].sort(byAge);
  }

  get items() {
    return this.#inbox.slice(0, this.#shown);
  }

  get counts() {
    const unread = this.#inbox.filter((item) => item.read_at === null).length;
    return { unread, unseen: this.#inbox.filter((item) => item.seen_at === null).length };
  }

  get hasMore() {
    return this.#inbox.length > this.#shown;
  }

  get #inbox() {
    return this.known.filter((item) => item.archived_at === null && item.snoozed_until === null);
  }

  /** @param {Partial<{status: import('../connection.js').Status, loaded: boolean, items: Item[]}>} state */
  become({ status = this.status, loaded = this.loaded, items }) {
    Object.assign(this, { status, loaded });
    if (items !== undefined) this.#items = new Map(items.map((item) => [item.id, item]));
    this.#tell('status');
    this.#tell('change');
  }

  /** Something arrives. @param {...Partial<Item>} own */
  deliver(...own) {
    const items = own.map((one) => sampleItem(one));
    for (const item of items) this.#items.set(item.id, item);
    this.#shown += items.length;
    this.#tell('change');
    this.dispatchEvent(new CustomEvent('arrival', { detail: { items, live: true } }));
  }

  /** As if all pages had been loaded. */
  showAll() {
    this.#shown = Infinity;
    this.#tell('change');
  }

  async loadMore() {
    this.#shown += PAGE;
    this.#tell('change');
  }

  async list() {
    if (this.status !== 'online') throw new Error('offline');
    return { data: this.known, has_more: false, next: null, unread_count: 0, unseen_count: 0, cursor: '' };
  }

  /** @param {string} path @param {{method?: string, body?: object}} [options] */
  async request(path, options) {
    const [, id] = path.match(/^\/v1\/inbox\/(sample-\d+)$/) ?? [];
    if (id === undefined) return this.answer(path, options);
    this.#change([id], { snoozed_until: null });
    return new Response('{}');
  }

  /** @param {Iterable<string>} ids */
  markSeen(ids) {
    this.#change(ids, { seen_at: now() });
  }

  /** @param {Iterable<string>} ids */
  markRead(ids) {
    this.#change(ids, { seen_at: now(), read_at: now() });
  }

  /** @param {Iterable<string>} ids */
  markUnread(ids) {
    this.#change(ids, { read_at: null });
  }

  markAllRead() {
    this.markRead(this.#items.keys());
  }

  /** @param {Iterable<string>} ids */
  archive(ids) {
    this.#change(ids, { seen_at: now(), read_at: now(), archived_at: now() });
  }

  /** @param {Iterable<string>} ids */
  unarchive(ids) {
    this.#change(ids, { archived_at: null });
  }

  /** @param {Iterable<string>} ids @param {Date} until */
  snooze(ids, until) {
    this.#change(ids, { snoozed_until: until.toISOString() });
  }

  /** @param {'active'|'away'} state */
  setAttention(state) {
    this.attention = state;
  }

  start() {
    this.become({ status: 'online' });
  }

  stop() {
    this.become({ status: 'stopped' });
  }

  retry() {
    this.become({ status: 'online', loaded: true });
  }

  /** @param {Iterable<string>} ids @param {Partial<Item>} fields */
  #change(ids, fields) {
    for (const id of ids) {
      const item = this.#items.get(id);
      if (item !== undefined) this.#items.set(id, { ...item, ...fields });
    }
    this.#tell('change');
  }

  /** @param {string} type */
  #tell(type) {
    this.dispatchEvent(new CustomEvent(type));
  }
}

function now() {
  return new Date().toISOString();
}
