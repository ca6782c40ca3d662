export function websocket(link: Link): Promise<Ended>;
/** What `Retry-After` asks for (RFC 9110, section 10.2.3). @param {Response} answer @returns {number|null} milliseconds */
export function retryAfter(answer: Response): number | null;
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
