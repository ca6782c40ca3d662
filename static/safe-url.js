/**
 * Return where a notification's link leads, or null for anything that must not be linked. The same rule as the
 * server's: an http(s) URL with a host and without user or password, or a path on the page's own origin; no
 * backslashes, spaces or control characters, because browsers read some of them as slashes and drop others.
 *
 * @param {unknown} value
 * @param {string} origin of the page
 * @returns {string|null}
 */
export function safeUrl(value, origin = globalThis.location?.origin) {
  if (typeof value !== 'string' || /[\u0000-\u0020\u007f-\u009f\\\u2028\u2029]/.test(value)) return null;
  const path = /^\/(?!\/)/.test(value);
  if (!path && !/^https?:\/\/[^/?#]/i.test(value)) return null;
  try {
    const url = new URL(value, origin);
    if (url.username !== '' || url.password !== '' || /^https?:\/\/[^/?#]*@/i.test(value)) return null;
    return path && url.origin !== origin ? null : url.href;
  } catch {
    return null; // not a URL
  }
}
