declare const BellwireClient_base: new () => TypedTarget;
export class BellwireClient extends BellwireClient_base {
    /**
     * @param {object} options
     * @param {string} [options.url] the hub's address; in a page, its own origin if left out
     * @param {() => string|Promise<string>} options.token gives a valid token; asked before each connection and whenever
     *   the server no longer takes the last one
     * @param {number} [options.limit] items on a page, 1 to 100
     * @param {number} [options.rung] 0: WebSocket first; 1: streams only; 2: long polling only
     * @param {boolean} [options.shareConnection] false: a connection of its own, whatever other tabs have
     */
    constructor({ url, token, limit, rung, shareConnection }: {
        url?: string | undefined;
        token: () => string | Promise<string>;
        limit?: number | undefined;
        rung?: number | undefined;
        shareConnection?: boolean | undefined;
    });
    /** @type {string|null} whose inbox it is, once the hub has said so */
    user: string | null;
    url: string;
    limit: number;
    /** What the inbox shows, newest first. */
    get items(): import("./store.js").Item[];
    /** All that is held, newest first: the archived, the snoozed, and what `list` brought as well. */
    get known(): import("./store.js").Item[];
    /** The badge. */
    get counts(): import("./store.js").Counts;
    /** Whether the newest page is here. */
    get loaded(): boolean;
    /** Whether `loadMore` has something to load. */
    get hasMore(): boolean;
    /** @returns {import('./connection.js').Status} */
    get status(): import("./connection.js").Status;
    /** When the next attempt is due (milliseconds since the epoch), while `waiting`. */
    get retryAt(): number;
    /** `websocket`, `sse` or `poll`: what it uses, or would. */
    get transport(): string;
    /** Whether somebody looks at this tab. */
    get attention(): "active" | "away";
    /** Whether the connection is this tab's own: one of all that share it says so. For what only one of them is to do. */
    get leads(): boolean;
    /**
     * Connect, and stay connected until `stop`. What was missed meanwhile comes in by itself.
     *
     * @param {{signal?: AbortSignal}} [options] `signal` stops it
     */
    start({ signal }?: {
        signal?: AbortSignal;
    }): void;
    /** Disconnect. Items and cursor stay; marks made from now on are sent after the next `start`. */
    stop(): void;
    /** Try now instead of when the back-off ends. */
    retry(): void;
    /** Tell whether somebody is looking: it gates the fallback. @param {'active'|'away'} state */
    setAttention(state: "active" | "away"): void;
    /** @param {Iterable<string>} ids visible in an open list for a second */
    markSeen(ids: Iterable<string>): void;
    /** @param {Iterable<string>} ids */
    markRead(ids: Iterable<string>): void;
    /** @param {Iterable<string>} ids */
    markUnread(ids: Iterable<string>): void;
    /** @param {Iterable<string>} ids */
    archive(ids: Iterable<string>): void;
    /** @param {Iterable<string>} ids */
    unarchive(ids: Iterable<string>): void;
    /** Hide them until a time. @param {Iterable<string>} ids @param {Date} until in the future, at most a year away */
    snooze(ids: Iterable<string>, until: Date): void;
    /** Mark read all there is up to now; what arrives while this is on its way stays unread. */
    markAllRead(): void;
    /** Load the next page, older than all that is here. */
    loadMore(): Promise<void>;
    /**
     * Read a page by a filter. What it has is in `known` from then on, and changes there as the server tells; when the
     * client has to read the newest page anew (a `resync`), what only `list` brought is let go of.
     *
     * @param {Filter} [filter]
     * @returns {Promise<Page>}
     * @throws {Error} the hub is out of reach, or refused
     */
    list(filter?: Filter): Promise<Page>;
    /**
     * Call the hub as this user.
     *
     * @param {string} path @param {{method?: string, body?: object}} [options] a body makes it a POST, unless said otherwise
     * @returns {Promise<Response>}
     * @throws {Error} the hub is out of reach
     */
    request(path: string, { method, body }?: {
        method?: string;
        body?: object;
    }): Promise<Response>;
    #private;
}
export type Item = import("./store.js").Item;
export type Action = import("./store.js").Action;
export type Page = import("./store.js").Page;
export type Counts = import("./store.js").Counts;
export type Status = import("./connection.js").Status;
export type Filter = {
    status?: "unread" | "read" | "unseen" | "all";
    category?: string;
    archived?: boolean;
    snoozed?: boolean;
    after?: string;
    limit?: number;
};
export type Arrival = {
    /**
     * new here
     */
    items: Item[];
    /**
     * not part of catching up
     */
    live: boolean;
};
export type Failure = {
    /**
     * of the protocol, an HTTP status, or `unreachable`
     */
    code: string;
    message: string;
    /**
     * what the hub refused to do, and is undone here
     */
    action?: import("./store.js").Action | undefined;
    /**
     * of those items; none: all
     */
    ids?: string[] | undefined;
};
export type ClientEvents = {
    /**
     * items, counts or attention differ
     */
    change: CustomEvent<undefined>;
    status: CustomEvent<undefined>;
    arrival: CustomEvent<Arrival>;
    failure: CustomEvent<Failure>;
};
/**
 * an EventTarget that knows its events
 */
export type TypedTarget = {
    addEventListener: <Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void, options?: boolean | AddEventListenerOptions) => void;
    removeEventListener: <Type extends keyof ClientEvents>(type: Type, listener: (event: ClientEvents[Type]) => void, options?: boolean | EventListenerOptions) => void;
    dispatchEvent: (event: Event) => boolean;
};
export {};
