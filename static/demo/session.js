/** The demo's users and their tokens. */

const FRESH_MS = 20_000; // tokens asked for within this time of each other come from one call

/** The hub's address, with a trailing slash: wherever it is mounted, these files are below it. */
export const HUB = new URL('../..', import.meta.url).href;

/** @typedef {{user: string, name: string, email: string, token: string}} DemoUser */

/** @type {Promise<DemoUser[]>|null} */
let users = null;
let asked = 0;

/** @returns {Promise<DemoUser[]>} with tokens that have just been issued */
export function signIn() {
  if (users === null || Date.now() - asked > FRESH_MS) {
    asked = Date.now();
    users = post('demo/session', {}).then(({ users: list }) => list);
    users.catch(() => (users = null));
  }
  return users;
}

/** @param {string} user */
export async function tokenOf(user) {
  const found = (await signIn()).find((one) => one.user === user);
  if (found === undefined) throw new Error(`the demo has no user ${user}`);
  return found.token;
}

/**
 * @param {string} path below the hub's address
 * @param {object} body
 * @returns {Promise<any>}
 * @throws {Error} with the problem's own words
 */
export async function post(path, body) {
  const options = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  return read(await fetch(HUB + path, options));
}

/** @param {string} path below the hub's address @returns {Promise<any>} */
export async function get(path) {
  return read(await fetch(HUB + path, { cache: 'no-store' }));
}

/** @param {Response} answer */
async function read(answer) {
  const body = await answer.json();
  if (answer.ok) return body;
  throw new Error([body.title, body.pointer, body.detail].filter(Boolean).join(': '));
}
