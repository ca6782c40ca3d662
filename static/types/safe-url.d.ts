/**
 * Return where a notification's link leads, or null for anything that must not be linked. The same rule as the
 * server's: an http(s) URL with a host and without user or password, or a path on the page's own origin; no
 * backslashes, spaces or control characters, because browsers read some of them as slashes and drop others.
 *
 * @param {unknown} value
 * @param {string} origin of the page
 * @returns {string|null}
 */
export function safeUrl(value: unknown, origin?: string): string | null;
