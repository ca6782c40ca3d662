/**
 * What the list shows: the whole inbox, unless a tab says otherwise (`views.js`).
 *
 * @typedef {import('../client.js').BellwireClient} BellwireClient
 * @typedef {import('../store.js').Item} Item
 *
 * @typedef {object} View
 * @property {string} name
 * @property {boolean} loading
 * @property {boolean} failed the last attempt to read it did
 * @property {(client: BellwireClient) => Item[]} items newest first
 * @property {(client: BellwireClient) => boolean} loaded whether its first page is here
 * @property {(client: BellwireClient) => boolean} hasMore
 * @property {(client: BellwireClient) => Promise<void>|null} refresh read its first page, if need be
 * @property {(client: BellwireClient) => Promise<void>} more read the next page
 */

/** The client brings it in by itself. @type {View} */
export const inbox = {
  name: 'all',
  loading: false,
  failed: false,
  items: (client) => client.items,
  loaded: (client) => client.loaded,
  hasMore: (client) => client.hasMore,
  refresh: () => null,
  more: (client) => client.loadMore(),
};
