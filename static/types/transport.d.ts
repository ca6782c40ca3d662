/** What `Retry-After` asks for (RFC 9110, section 10.2.3). @param {Response} answer @returns {number|null} milliseconds */
export function retryAfter(answer: Response): number | null;
/**
 * Ways to hear from a hub, all alike (the others are in streams.js): each opens one connection, hands over its frames,
 * and resolves when it has ended. None of them reconnects; that is the client's business.
 */
/**
 * @typedef {object} Link
 * @property {string} url the hub's address, without a trailing slash
 * @property {string} token
 * @property {string|null} cursor where to resume
 * @property {() => 'active'|'away'} attention what to tell the server of it when connecting
 * @property {AbortSignal} signal ends the connection
 * @property {(frame: any) => void} onFrame
 * @property {(send: ((frame: object) => void)|null) => void} onWritable how to send frames, where that is possible
 * @property {(until: number|null) => void} onDelay the connection that this one goes through is lost: it is made anew,
 *   at once or at that time (milliseconds since the epoch)
 *
 * @typedef {object} Ended
 * @property {number} code a WebSocket close code, or the HTTP status of an answer that was no stream; 0: no answer
 * @property {string} reason
 * @property {number|null} afterMs how long the server asks to wait
 * @property {boolean} [again] it is no failure: connect again at once
 *
 * @typedef {(link: Link) => Promise<Ended>} Transport
 * @typedef {{name: 'websocket'|'sse'|'poll', open: Transport}} Rung
 */
/** @type {Rung} */
export const webSocket: Rung;
export type Link = {
    /**
     * the hub's address, without a trailing slash
     */
    url: string;
    token: string;
    /**
     * where to resume
     */
    cursor: string | null;
    /**
     * what to tell the server of it when connecting
     */
    attention: () => "active" | "away";
    /**
     * ends the connection
     */
    signal: AbortSignal;
    onFrame: (frame: any) => void;
    /**
     * how to send frames, where that is possible
     */
    onWritable: (send: ((frame: object) => void) | null) => void;
    /**
     * the connection that this one goes through is lost: it is made anew,
     * at once or at that time (milliseconds since the epoch)
     */
    onDelay: (until: number | null) => void;
};
export type Ended = {
    /**
     * a WebSocket close code, or the HTTP status of an answer that was no stream; 0: no answer
     */
    code: number;
    reason: string;
    /**
     * how long the server asks to wait
     */
    afterMs: number | null;
    /**
     * it is no failure: connect again at once
     */
    again?: boolean | undefined;
};
export type Transport = (link: Link) => Promise<Ended>;
export type Rung = {
    name: "websocket" | "sse" | "poll";
    open: Transport;
};
