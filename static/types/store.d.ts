export function byAge(a: Item, b: Item): 0 | 1 | -1;
export class InboxStore {
    /** @type {string|null} where to resume */
    cursor: string | null;
    /** @type {string|null} for the page after the oldest one held */
    next: string | null;
    /** Whether the newest page has been read once. */
    loaded: boolean;
    /** @returns {Item[]} what an inbox shows, newest first */
    get items(): Item[];
    /** @returns {Item[]} all that is held, newest first: the archived, the snoozed, and what `adopt` brought */
    get known(): Item[];
    /** @returns {Counts} the badge, the user's own marks included */
    get counts(): Counts;
    /** Where the server's word has brought this store: what a store needs that begins here. */
    get position(): {
        cursor: string | null;
        counts: Counts;
        late: [string, number][];
    };
    /** @param {string} id */
    get(id: string): Item | undefined;
    /** The user's marks in the order in which they were made. */
    get marks(): Mark[];
    /**
     * Take in a server frame.
     *
     * @param {any} frame
     * @returns {{reload: boolean, arrived: Item[]}} whether only a new page can tell what changed, and items that are new here
     */
    apply(frame: any): {
        reload: boolean;
        arrived: Item[];
    };
    /** Call before fetching a page, so that nothing is lost that arrives meanwhile. @returns {Journal} */
    beginPage(): Journal;
    /**
     * Take in a page: the newest one replaces what is held, a further one adds to it.
     *
     * @param {Journal} journal what `beginPage` gave; null page: the fetch failed
     * @param {Page|null} page
     * @param {{newest: boolean}} options
     */
    endPage(journal: Journal, page: Page | null, { newest }: {
        newest: boolean;
    }): void;
    /**
     * Hold items of a filtered page as well: `known` has them, kept in step with the server until the newest page is read
     * anew; `items` has those of them that are not older than its oldest page.
     *
     * @param {Journal} journal what `beginPage` gave @param {Item[]} items none: the fetch failed
     */
    adopt(journal: Journal, items: Item[]): void;
    /**
     * Show a mark at once. `through` marks everything there is up to that cursor.
     *
     * @param {Action} action
     * @param {Iterable<string>} ids
     * @param {string|null} through
     * @param {string|null} until for snooze
     * @returns {Mark|null} null if it would change nothing
     */
    mark(action: Action, ids: Iterable<string>, through?: string | null, until?: string | null): Mark | null;
    /** Take a mark back. @param {number} ref @returns {Mark|undefined} */
    forget(ref: number): Mark | undefined;
    #private;
}
export type Item = {
    id: string;
    /**
     * of two states of one item, the one with the higher version is newer
     */
    version: number;
    category: string;
    title: string;
    body: string;
    action_url: string | null;
    data: Record<string, unknown> | null;
    actor: Record<string, unknown> | null;
    priority: "critical" | "high" | "normal" | "low";
    created_at: string;
    appeared_at: string;
    expires_at: string | null;
    seen_at: string | null;
    read_at: string | null;
    archived_at: string | null;
    snoozed_until: string | null;
};
export type Counts = {
    unread: number;
    unseen: number;
};
export type Page = {
    data: Item[];
    has_more: boolean;
    next: string | null;
    unread_count: number;
    unseen_count: number;
    cursor: string;
};
export type Action = "seen" | "read" | "unread" | "archive" | "unarchive" | "snooze";
/**
 * the user's own change, until the server's frames show it
 */
export type Mark = {
    ref: number;
    action: Action;
    /**
     * the items it covers here
     */
    ids: Set<string>;
    /**
     * for "all": the cursor up to which; null: only `ids`
     */
    through: string | null;
    /**
     * for "all": items held here that are after that cursor
     */
    late: string[];
    /**
     * for "all": how many more it covers that are not held here
     */
    beyond: Counts;
    /**
     * for snooze
     */
    until: string | null;
    fields: Record<string, string | null>;
    sent: boolean;
    /**
     * whether the server has told its counts since it was sent
     */
    counted: boolean;
    /**
     * signs of life from the server since it was sent
     */
    pings: number;
};
/**
 * what came in live while a page was being fetched
 */
export type Journal = {
    frames: any[];
};
