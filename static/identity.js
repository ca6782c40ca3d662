/**
 * Whose inbox a token opens: tokens of the same user and key give the same string, others another one. The token is
 * only read, not verified; the hub does that.
 *
 * @param {string} token
 * @returns {string|null} null: it can't be read
 */
export function identity(token) {
  try {
    const [head, claims] = token.split('.', 2).map((part) => JSON.parse(atob(part.replace(/-/g, '+').replace(/_/g, '/'))));
    return typeof claims.sub === 'string' ? JSON.stringify([head.kid, claims.iss, claims.sub]) : null;
  } catch {
    return null;
  }
}

/** Make up a name that nobody else has, also where `crypto.randomUUID` is not allowed (plain http). */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('');
}
