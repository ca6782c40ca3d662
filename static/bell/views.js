/**
 * What the tabs show. All of it is taken from what the client holds, so that every mark and every live change shows at
 * once; a tab only has the hub's pages of its own kind brought in, and knows how far down they reach.
 *
 * @typedef {import('../client.js').BellwireClient} BellwireClient
 * @typedef {import('../store.js').Item} Item
 * @typedef {import('./inbox-view.js').View} View
 */

import { byAge } from '../store.js';
import { inbox } from './inbox-view.js';

/** @param {Item} item */
const isListed = (item) => item.archived_at === null && item.snoozed_until === null;

/** @type {Record<string, {query: object, has: (item: Item) => boolean}>} */
const KINDS = {
  unread: { query: { status: 'unread' }, has: (item) => isListed(item) && item.read_at === null },
  archived: { query: { archived: true }, has: (item) => item.archived_at !== null },
  snoozed: { query: { snoozed: true }, has: (item) => item.archived_at === null && item.snoozed_until !== null },
};

/** What a filter lets through. @implements {View} */
class Filtered {
  name;
  loading = false;
  failed = false;
  #query;
  #has;
  #read = false;
  /** @type {Item|null} the last item of the last page */
  #edge = null;
  /** @type {string|null} */
  #next = null;

  /** @param {string} name @param {object} query @param {(item: Item) => boolean} has */
  constructor(name, query, has) {
    this.name = name;
    this.#query = query;
    this.#has = has;
  }

  /** @param {BellwireClient} client @returns {Item[]} */
  items(client) {
    const edge = this.#next === null ? null : this.#edge;
    return client.known.filter((item) => this.#has(item) && (edge === null || byAge(item, edge) <= 0));
  }

  /** Whether its first page is here; before that, what is known already is shown. */
  loaded() {
    return this.#read;
  }

  hasMore() {
    return this.#next !== null;
  }

  /** Read the first page anew if that was never done, or if the client has let go of what it brought. @param {BellwireClient} client */
  refresh(client) {
    const lost = this.#edge !== null && !client.known.some(({ id }) => id === this.#edge?.id);
    return !this.loading && !this.failed && (!this.#read || lost) ? this.load(client) : null;
  }

  /** @param {BellwireClient} client @param {string|null} [after] null: the first page */
  async load(client, after = null) {
    this.loading = true;
    this.failed = false;
    try {
      const page = await client.list({ ...this.#query, ...(after === null ? {} : { after }) });
      this.#read = true;
      this.#next = page.next;
      this.#edge = page.data.at(-1) ?? null;
    } catch {
      this.failed = true;
    }
    this.loading = false;
  }

  /** @param {BellwireClient} client */
  async more(client) {
    if (!this.loading) await this.load(client, this.#next);
  }
}

/** @typedef {{label: string|null, view: View}} Tab `label`: what the page calls it */

/**
 * Read the attribute: names separated by commas, `all`, `unread`, `archived`, `snoozed` or a category, each with its
 * label after `=` if the built-in one is not to be.
 *
 * @param {string} text @returns {Tab[]}
 */
export function tabsOf(text) {
  const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
  return parts.map((part) => {
    const [, name, label = null] = /** @type {RegExpMatchArray} */ (part.match(/^([^=]*[^=\s])\s*(?:=\s*(.*))?$/) ?? [part, part]);
    return { label, view: viewOf(name) };
  });
}

/** @param {string} name @returns {View} */
function viewOf(name) {
  if (name === 'all') return inbox;
  if (Object.hasOwn(KINDS, name)) return new Filtered(name, KINDS[name].query, KINDS[name].has);
  return new Filtered(name, { category: name }, (item) => isListed(item) && item.category === name);
}
