/** @returns {HTMLLIElement} an empty row, for `fillRow` */
export function createRow(): HTMLLIElement;
/**
 * @param {HTMLLIElement} row @param {Item} item @param {number|null} day to stand above it @param {Words} words
 */
export function fillRow(row: HTMLLIElement, item: Item, day: number | null, words: Words): void;
/** Bring the relative time up to date. @param {Element} row @param {Words} words */
export function ageRow(row: Element, words: Words): void;
/** Lead somewhere, or be a button. @param {HTMLAnchorElement} anchor @param {unknown} to */
export function link(anchor: HTMLAnchorElement, to: unknown): void;
/**
 * The picture of whoever did it, or else their initials.
 *
 * @param {HTMLElement} avatar @param {Item} item
 */
export function fillAvatar(avatar: HTMLElement, { actor, title }: Item): void;
export type Item = import("../store.js").Item;
export type Words = import("./messages.js").Words;
