export class Ladder {
    /** @param {number} first the rung to begin with; 0: WebSocket */
    constructor(first: number);
    /** Whether this is another try of what was blocked. */
    trying: boolean;
    get rung(): import("./transport.js").Rung;
    /** Begin anew: what was blocked may be so no more, or never was. */
    reset(): void;
    /** What is used gets through. */
    succeed(): void;
    /** It did not get through although the hub is in reach. @param {boolean} silent nothing came, instead of an end */
    fail(silent: boolean): void;
    /** It did not get through, but the hub was out of reach. */
    excuse(): void;
    /** @param {() => void} leave called when it is time to leave a lower rung, to try the first @returns {() => void} cancel */
    whenToTry(leave: () => void): () => void;
    /** The other try was in vain, and the next comes later. */
    fallBack(): void;
    #private;
}
