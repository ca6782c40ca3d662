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
export const inbox: View;
/**
 * What the list shows: the whole inbox, unless a tab says otherwise (`views.js`).
 */
export type BellwireClient = import("../client.js").BellwireClient;
/**
 * What the list shows: the whole inbox, unless a tab says otherwise (`views.js`).
 */
export type Item = import("../store.js").Item;
/**
 * What the list shows: the whole inbox, unless a tab says otherwise (`views.js`).
 */
export type View = {
    name: string;
    loading: boolean;
    /**
     * the last attempt to read it did
     */
    failed: boolean;
    /**
     * newest first
     */
    items: (client: BellwireClient) => Item[];
    /**
     * whether its first page is here
     */
    loaded: (client: BellwireClient) => boolean;
    hasMore: (client: BellwireClient) => boolean;
    /**
     * read its first page, if need be
     */
    refresh: (client: BellwireClient) => Promise<void> | null;
    /**
     * read the next page
     */
    more: (client: BellwireClient) => Promise<void>;
};
