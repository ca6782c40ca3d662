export class SeenWatcher {
    /**
     * @param {Element} root the scrolling part
     * @param {() => boolean} isLooking whether somebody looks at the page at all; call `update` when that changes
     * @param {(ids: string[]) => void} onSeen
     */
    constructor(root: Element, isLooking: () => boolean, onSeen: (ids: string[]) => void);
    /** @param {Element} row @param {string} id */
    watch(row: Element, id: string): void;
    /** @param {Element} row */
    unwatch(row: Element): void;
    /** Start the second of what is looked at, and break it off for what is not. */
    update(): void;
    stop(): void;
    #private;
}
