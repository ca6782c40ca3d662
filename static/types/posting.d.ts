/** @typedef {{code: string, message: string, afterMs: number|null}} Refusal `unavailable`: to be said again */
/**
 * Do what a frame says.
 *
 * @param {(path: string, options: {body: object}) => Promise<Response>} request
 * @param {string} connection its id
 * @param {{type: string, ref?: number}} frame
 * @returns {Promise<Refusal|null>} null: done; a stream or a poll confirms it
 */
export function post(request: (path: string, options: {
    body: object;
}) => Promise<Response>, connection: string, { type, ref: _, ...rest }: {
    type: string;
    ref?: number;
}): Promise<Refusal | null>;
/**
 * `unavailable`: to be said again
 */
export type Refusal = {
    code: string;
    message: string;
    afterMs: number | null;
};
