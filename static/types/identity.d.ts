/**
 * Whose inbox a token opens: tokens of the same user and key give the same string, others another one. The token is
 * only read, not verified; the hub does that.
 *
 * @param {string} token
 * @returns {string|null} null: it can't be read
 */
export function identity(token: string): string | null;
/** Make up a name that nobody else has, also where `crypto.randomUUID` is not allowed (plain http). */
export function randomName(): string;
