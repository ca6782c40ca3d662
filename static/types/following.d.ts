export class Following {
    /** @param {Link} link @param {Group} group */
    constructor(link: Link, group: Group);
    /** @type {string|null} the transport of the tab that leads */
    transport: string | null;
    /**
     * Hear the leader, until there is none.
     *
     * @returns {Promise<Ended|null>} null: nobody was heard, and now this tab leads
     */
    run(): Promise<Ended | null>;
    /** This tab leads now. */
    end(): void;
    /** @param {any} message of the leader */
    hear({ type, lead, number, to, ...told }: any): void;
    #private;
}
export type Link = import("./transport.js").Link;
export type Ended = import("./transport.js").Ended;
/**
 * the tabs that share a connection, as seen from this one
 */
export type Group = {
    /**
     * of this tab
     */
    name: string;
    /**
     * of this tab
     */
    cursor: () => string | null;
    /**
     * tell the leader of this tab's attention
     */
    attend: (type: "hello" | "attention") => void;
    post: (message: object) => void;
    /**
     * take the lead from a tab that does not answer
     */
    steal: () => void;
};
