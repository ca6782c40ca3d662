export function attach(extra: import("./extras.js").Extra): void | Promise<void>;
/**
 * Wait until the hub has said whose inbox it is.
 *
 * @param {import('./extras.js').BellwireClient} client @param {AbortSignal} signal @returns {Promise<string>}
 */
export function known(client: import("./extras.js").BellwireClient, signal: AbortSignal): Promise<string>;
/**
 * The user's choice of channels, where the hub offers one: without such a route, or with an answer of another shape,
 * there is nothing to see.
 */
export type Preference = {
    category: string;
    label?: string | undefined;
    channels: Record<string, boolean>;
    /**
     * channels that the user can't change
     */
    locked?: string[] | undefined;
};
