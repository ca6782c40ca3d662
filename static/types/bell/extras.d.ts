/** The attributes that ask for one. */
export const EXTRAS: string[];
/** Those that one bell has now. */
export class Extras {
    /** Start one, or end it, or start it anew, as its attribute says. @param {NotificationBell} bell @param {string} name */
    follow(bell: NotificationBell, name: string): Promise<void>;
    end(): void;
    #private;
}
/**
 * What a bell does only where an attribute asks for it: each is a module of its own, fetched then.
 */
export type NotificationBell = import("../notification-bell.js").NotificationBell;
/**
 * What a bell does only where an attribute asks for it: each is a module of its own, fetched then.
 */
export type BellwireClient = import("../client.js").BellwireClient;
/**
 * What a bell does only where an attribute asks for it: each is a module of its own, fetched then.
 */
export type Extra = {
    bell: NotificationBell;
    client: BellwireClient;
    /**
     * the attribute's
     */
    value: string;
    /**
     * ends it: whatever it added is taken away again
     */
    signal: AbortSignal;
};
/**
 * What a bell does only where an attribute asks for it: each is a module of its own, fetched then.
 */
export type Attach = (extra: Extra) => void | Promise<void>;
