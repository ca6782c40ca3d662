/**
 * @typedef {import('../store.js').Item} Item
 * @typedef {import('../notification-bell.js').NotificationBell} NotificationBell
 *
 * @typedef {object} ItemAction
 * @property {string} id
 * @property {string} label
 * @property {string|null} url where it leads; null: the page does something about it
 */
/** What `data.actions` offers, as far as it makes sense. @param {Item} item @returns {ItemAction[]} */
export function actionsOf({ data }: Item): ItemAction[];
/** @param {NotificationBell} bell @param {Element} row @param {Item} item */
export function fillActions(bell: NotificationBell, row: Element, item: Item): void;
export type Item = import("../store.js").Item;
export type NotificationBell = import("../notification-bell.js").NotificationBell;
export type ItemAction = {
    id: string;
    label: string;
    /**
     * where it leads; null: the page does something about it
     */
    url: string | null;
};
