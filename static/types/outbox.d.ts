/** @param {number|null|undefined} asked @returns {number} milliseconds until an attempt at what could not be done just now */
export function again(asked: number | null | undefined): number;
export class Outbox {
    /** @param {Sender} sender */
    constructor(sender: Sender);
    /** @param {Action} action @param {string[]} ids @param {string|null} [through] @param {string|null} [until] */
    mark(action: Action, ids: string[], through?: string | null, until?: string | null): void;
    /** Tell the server soon that these items have arrived. @param {string[]} ids */
    acknowledge(ids: string[]): void;
    /** Acknowledge nothing of what has come so far. */
    forget(): void;
    /** Say again what the last connection may have lost. */
    repeat(): void;
    /**
     * Undo what the hub will not do; what it can't do now is said again.
     *
     * @param {{ref?: number|null, code: string, message: string, afterMs?: number|null}} refusal
     */
    refused({ ref, code, message, afterMs }: {
        ref?: number | null;
        code: string;
        message: string;
        afterMs?: number | null;
    }): void;
    /** @param {Frame} frame */
    tell(frame: Frame): void;
    #private;
}
export type Action = import("./store.js").Action;
export type Mark = import("./store.js").Mark;
export type Frame = {
    type: string;
    ref?: number;
    ids?: string[];
    all?: boolean;
    through?: string;
    until?: string;
    state?: string;
};
/**
 * the client, as seen from here
 */
export type Sender = {
    store: () => import("./store.js").InboxStore;
    connection: import("./connection.js").Connection;
    request: (path: string, options: {
        body: object;
    }) => Promise<Response>;
    /**
     * with a mark, that is undone
     */
    onRefused: (failure: import("./client.js").Failure) => void;
};
