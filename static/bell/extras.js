/**
 * What a bell does only where an attribute asks for it: each is a module of its own, fetched then.
 *
 * @typedef {import('../notification-bell.js').NotificationBell} NotificationBell
 * @typedef {import('../client.js').BellwireClient} BellwireClient
 *
 * @typedef {object} Extra
 * @property {NotificationBell} bell
 * @property {BellwireClient} client
 * @property {string} value the attribute's
 * @property {AbortSignal} signal ends it: whatever it added is taken away again
 *
 * @typedef {(extra: Extra) => void|Promise<void>} Attach
 */

/** @type {Record<string, () => Promise<{attach: Attach}>>} */
const MODULES = {
  tabs: () => import('./tabs.js'),
  toasts: () => import('./toasts.js'),
  sound: () => import('./sound.js'),
  'title-badge': () => import('./title-badge.js'),
  'app-badge': () => import('./app-badge.js'),
  push: () => import('./push.js'),
  preferences: () => import('./preferences.js'),
};

/** The attributes that ask for one. */
export const EXTRAS = Object.keys(MODULES);

/** Those that one bell has now. */
export class Extras {
  /** @type {Map<string, AbortController>} */
  #running = new Map();

  /** Start one, or end it, or start it anew, as its attribute says. @param {NotificationBell} bell @param {string} name */
  async follow(bell, name) {
    const { client } = bell;
    const value = bell.getAttribute(name);
    this.#running.get(name)?.abort();
    if (client === null || value === null || !bell.isConnected) return;
    const ending = new AbortController();
    const { signal } = ending;
    this.#running.set(name, ending);
    try {
      const { attach } = await MODULES[name]();
      if (!signal.aborted) await attach({ bell, client, value, signal });
    } catch (error) {
      if (!signal.aborted) console.error(`notification-bell: no ${name}`, error);
    }
  }

  end() {
    for (const ending of this.#running.values()) ending.abort();
  }
}
