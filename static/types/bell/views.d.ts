/** @typedef {{label: string|null, view: View}} Tab `label`: what the page calls it */
/**
 * Read the attribute: names separated by commas, `all`, `unread`, `archived`, `snoozed` or a category, each with its
 * label after `=` if the built-in one is not to be.
 *
 * @param {string} text @returns {Tab[]}
 */
export function tabsOf(text: string): Tab[];
/**
 * `label`: what the page calls it
 */
export type Tab = {
    label: string | null;
    view: View;
};
/**
 * What the tabs show. All of it is taken from what the client holds, so that every mark and every live change shows at
 * once; a tab only has the hub's pages of its own kind brought in, and knows how far down they reach.
 */
export type BellwireClient = import("../client.js").BellwireClient;
/**
 * What the tabs show. All of it is taken from what the client holds, so that every mark and every live change shows at
 * once; a tab only has the hub's pages of its own kind brought in, and knows how far down they reach.
 */
export type Item = import("../store.js").Item;
/**
 * What the tabs show. All of it is taken from what the client holds, so that every mark and every live change shows at
 * once; a tab only has the hub's pages of its own kind brought in, and knows how far down they reach.
 */
export type View = import("./inbox-view.js").View;
