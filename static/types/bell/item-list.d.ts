export class ItemList {
    /** @param {NotificationBell} bell @param {HTMLElement} list @param {HTMLElement} scroll what it scrolls in */
    constructor(bell: NotificationBell, list: HTMLElement, scroll: HTMLElement);
    /** Bring rows in line with the items. @param {Item[]} items newest first */
    draw(items: Item[]): void;
    /** Attention may have changed. */
    look(): void;
    /** Bring relative times up to date. */
    age(): void;
    /** Let go of all rows, and of whoever watches them. */
    clear(): void;
    /** Go to the row after (1) or before (-1) the one that has the focus; to the first (-Infinity), to the last. @param {number} step */
    move(step: number): void;
    #private;
}
export type NotificationBell = import("../notification-bell.js").NotificationBell;
export type Item = import("../store.js").Item;
export type Words = import("./messages.js").Words;
export type RenderItem = (item: Item) => Element | null;
export type Shown = {
    item: Item;
    day: number | null;
    words: Words;
};
