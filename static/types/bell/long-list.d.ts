/** @typedef {{start: number, end: number, before: number, after: number}} Range rows from `start` to `end` (without it), and the height of the others */
export class LongList {
    /** @param {HTMLElement} scroll @param {() => void} onMove another range has come into view */
    constructor(scroll: HTMLElement, onMove: () => void);
    /** @param {string[]} ids of all rows @returns {Range} */
    range(ids: string[]): Range;
    /** Draw, and keep the first visible row where it is; at the very top, new rows show. @param {Element} list @param {() => Map<string, HTMLElement>} draw */
    hold(list: Element, draw: () => Map<string, HTMLElement>): void;
    #private;
}
/**
 * rows from `start` to `end` (without it), and the height of the others
 */
export type Range = {
    start: number;
    end: number;
    before: number;
    after: number;
};
