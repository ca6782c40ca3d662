export class Connection {
    /**
     * @param {string} url @param {number} rung where on the ladder to begin @param {boolean} shared with other tabs
     * @param {Owner} owner
     */
    constructor(url: string, rung: number, shared: boolean, owner: Owner);
    /** @type {Status} */
    status: Status;
    retryAt: number;
    /** The id that the server gave to this connection. */
    id: string;
    /** @type {((frame: object) => void)|null} sends a frame, on a transport that can */
    send: ((frame: object) => void) | null;
    get transport(): string;
    /** Whether another tab has the connection that this one hears. */
    get follows(): boolean;
    start(): void;
    /** @param {Status} status */
    stop(status?: Status): void;
    /** Try now instead of when the back-off ends; on an open connection, find out whether it still lives. */
    retry(): void;
    /** End the connection that there is, and make a new one. */
    restart(): void;
    /** Tell the server if the attention has changed. */
    attend(): void;
    #private;
}
/**
 * `waiting`: lost, and coming back at `retryAt`; `refused`: the server will not have this token
 */
export type Status = "stopped" | "connecting" | "online" | "waiting" | "refused";
export type Owner = {
    /**
     * where to resume
     */
    cursor: () => string | null;
    /**
     * where a tab that joins begins: a `ready`'s cursor, counts and `late`
     */
    position: () => object;
    /**
     * of this tab
     */
    attention: () => "active" | "away";
    /**
     * tell the server; it is that of all tabs
     */
    onAttention: (state: "active" | "away") => void;
    token: () => Promise<string>;
    /**
     * `live`: `ready` has come
     */
    onFrame: (frame: any, live: boolean) => void;
    onStatus: () => void;
    onFailure: (code: string, message: string) => void;
};
