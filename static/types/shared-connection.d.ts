export function canShare(): boolean;
export class SharedConnection {
    /** @param {Tab} tab */
    constructor(tab: Tab);
    /** Whether another tab has the connection. */
    get follows(): boolean;
    /** @returns {string|null} while following: the transport of the tab that leads */
    get transport(): string | null;
    /** @returns {Attention} of all tabs that share this one's connection */
    attention(): Attention;
    /**
     * Connect, or join the tab that is connected.
     *
     * @param {Link} link
     * @param {Rung} rung how to connect if it is up to this tab
     * @returns {Promise<Ended>}
     */
    open(link: Link, rung: Rung): Promise<Ended>;
    /** Tell the others that the connection is lost, and when this tab tries again. */
    tellLost(): void;
    /** Tell this tab's attention to the one that leads. @param {'hello'|'attention'} type `hello` asks where it is */
    attend(type?: "hello" | "attention"): void;
    /** Ask the leader to try again. */
    retry(): void;
    /** Let go of the others. */
    leave(): void;
    #private;
}
export type Link = import("./transport.js").Link;
export type Ended = import("./transport.js").Ended;
export type Rung = import("./transport.js").Rung;
export type Attention = "active" | "away";
/**
 * what this needs to know of, and do to, the tab that it runs in
 */
export type Tab = {
    cursor: () => string | null;
    /**
     * cursor, counts, and what the cursor does not cover: all that a `ready` needs
     */
    position: () => object;
    /**
     * of this tab
     */
    attention: () => Attention;
    /**
     * of all tabs together: it may have changed
     */
    onAttention: () => void;
    /**
     * while waiting to connect again: until when
     */
    retryAt: () => number | null;
    /**
     * end the connection there is
     */
    interrupt: () => void;
    retry: () => void;
};
