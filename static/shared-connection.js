/**
 * One connection for all tabs of a browser that show the same inbox.
 *
 * Whoever holds a Web Lock leads: it has the connection, and passes on every frame by a BroadcastChannel. The others
 * follow (`following.js`): to them, this is one more transport. When the leading tab is closed or crashes, the browser hands the lock to
 * the next one, which connects with its own cursor. A tab that is put to sleep gives the lock up; one that fell silent
 * without doing so loses it.
 *
 * Followers hold what the leader holds as long as they have heard all that it said, one message after the other. A tab
 * that comes late, or missed something, is told where the others are, and reads the newest page again.
 */

/**
 * @typedef {import('./transport.js').Link} Link
 * @typedef {import('./transport.js').Ended} Ended
 * @typedef {import('./transport.js').Rung} Rung
 * @typedef {'active'|'away'} Attention
 *
 * @typedef {object} Tab what this needs to know of, and do to, the tab that it runs in
 * @property {() => string|null} cursor
 * @property {() => object} position cursor, counts, and what the cursor does not cover: all that a `ready` needs
 * @property {() => Attention} attention of this tab
 * @property {() => void} onAttention of all tabs together: it may have changed
 * @property {() => number|null} retryAt while waiting to connect again: until when
 * @property {() => void} interrupt end the connection there is
 * @property {() => void} retry
 */

import { identity, randomName } from './identity.js';

const PROTOCOL = 1; // of the messages: tabs of different releases keep to themselves if this changes
const CONNECTIONS_OWN = new Set(['reauth', 'reauthenticated', 'reconnect']); // frames for whoever has the connection

/** Whether this is a browser that can. */
export const canShare = () =>
  globalThis.location !== undefined && globalThis.navigator?.locks !== undefined && globalThis.BroadcastChannel !== undefined;

export class SharedConnection {
  #tab;
  #name = randomName();
  #key = '';
  /** @type {BroadcastChannel|null} */
  #channel = null;
  /** Ends all that was begun by joining. */
  #joined = new AbortController();
  #leads = false;
  /** Whether the lock was taken away from a leader, and nobody has been heard since: it is done only once. */
  #stole = false;
  /** @type {import('./following.js').Following|null} */
  #following = null;

  // While leading:
  #said = 0;
  /** @type {Map<string, Attention>} of the tabs that follow */
  #followers = new Map();
  /** @type {((frame: object) => void)|null} */
  #send = null;
  /** @type {any} the last `ready`, while online */
  #ready = null;
  #carries = ''; // the transport in use

  /** @param {Tab} tab */
  constructor(tab) {
    this.#tab = tab;
  }

  /** Whether another tab has the connection. */
  get follows() {
    return this.#following !== null;
  }

  /** @returns {string|null} while following: the transport of the tab that leads */
  get transport() {
    return this.#following?.transport ?? null;
  }

  /** @returns {Attention} of all tabs that share this one's connection */
  attention() {
    return [this.#tab.attention(), ...this.#followers.values()].includes('active') ? 'active' : 'away';
  }

  /**
   * Connect, or join the tab that is connected.
   *
   * @param {Link} link
   * @param {Rung} rung how to connect if it is up to this tab
   * @returns {Promise<Ended>}
   */
  async open(link, rung) {
    const whose = identity(link.token);
    const key = `bellwire:${PROTOCOL}:${link.url}:${whose}`;
    if (whose === null) this.leave();
    else if (key !== this.#key) await this.#join(key);
    const ended = this.#channel === null || this.#leads ? null : await this.#follow(link);
    if (ended !== null) return ended;
    if (link.signal.aborted) return { code: 1000, reason: 'closed here', afterMs: null, again: true };
    return this.#leads ? this.#lead(link, rung) : rung.open(link);
  }

  /** Tell the others that the connection is lost, and when this tab tries again. */
  tellLost() {
    if (this.#leads) this.#tellState();
  }

  /** Tell this tab's attention to the one that leads. @param {'hello'|'attention'} type `hello` asks where it is */
  attend(type = 'attention') {
    this.#post({ type, state: this.#tab.attention() });
  }

  /** Ask the leader to try again. */
  retry() {
    if (this.follows) this.#post({ type: 'retry' });
  }

  /** Let go of the others. */
  leave() {
    this.#joined.abort();
    this.#channel?.close();
    this.#channel = null;
    this.#key = '';
    this.#stopLeading();
  }

  /** @param {string} key @returns {Promise<unknown>} until it is known whether this tab leads */
  #join(key) {
    this.leave();
    const { signal } = (this.#joined = new AbortController());
    try {
      this.#channel = new BroadcastChannel(key);
    } catch {
      return Promise.resolve(); // not allowed here: this tab connects by itself
    }
    this.#key = key;
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#hold(`${key}:${this.#name}`, () => {}); // is free again when this tab is gone, whatever became of it
    return new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
      const contend = (/** @type {Lock|null} */ lock) => {
        if (lock === null) this.#hold(key, () => this.#startLeading()); // as soon as nobody else does
        else this.#startLeading();
        resolve(lock);
      };
      this.#hold(key, contend, { ifAvailable: true });
    });
  }

  /**
   * Ask for a lock, and keep it until `leave`, or until it is taken away.
   *
   * @param {string} name
   * @param {(lock: Lock|null) => void} onAnswer null: somebody else has it, and it was to be `ifAvailable`
   * @param {LockOptions} [options]
   */
  #hold(name, onAnswer, options) {
    const { signal } = this.#joined;
    const left = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    navigator.locks
      .request(name, options ?? { signal }, (lock) => {
        if (signal.aborted) return undefined;
        onAnswer(lock);
        return lock && left;
      })
      .catch(() => {
        if (signal.aborted) return;
        // It was stolen, as this tab slept; or the browser allows no locks here.
        const [led, followed] = [this.#leads, this.follows];
        this.#stopLeading();
        if (led) this.#hold(name, onAnswer);
        else this.leave();
        if (led || followed) this.#tab.interrupt();
      });
  }

  #startLeading() {
    this.#leads = true;
    this.#following?.end();
  }

  #stopLeading() {
    this.#leads = false;
    this.#followers.clear();
    this.#ready = null;
    this.#send = null;
  }

  /** @param {Link} link @param {Rung} rung @returns {Promise<Ended>} */
  async #lead(link, rung) {
    this.#carries = rung.name;
    this.#post({ type: 'opening', cursor: link.cursor, transport: rung.name });
    const ended = await rung.open({
      ...link,
      onFrame: (frame) => this.#carry(frame, link),
      onWritable: (send) => link.onWritable((this.#send = send)),
    });
    this.#ready = null;
    this.#send = null;
    return ended;
  }

  /** Take a frame in, and pass it on. @param {any} frame @param {Link} link */
  #carry(frame, link) {
    if (frame.type === 'error' && typeof frame.ref === 'string') {
      const [name, ref] = frame.ref.split(':'); // see `send` of a follower
      this.#post({ type: 'frame', to: name, frame: { ...frame, ref: Number(ref) } });
      return;
    }
    if (frame.type === 'ready') this.#ready = frame;
    link.onFrame(frame);
    if (!CONNECTIONS_OWN.has(frame.type)) this.#post({ type: 'frame', frame });
  }

  /** Say where the leader is. @param {string} [to] to one follower, instead of all */
  #tellState(to) {
    const ready = this.#ready && { ...this.#ready, ...this.#tab.position() };
    this.#post({ type: 'state', to, ready, retryAt: this.#tab.retryAt(), transport: this.#carries });
  }

  /**
   * Be one of those that follow, as long as another tab leads.
   *
   * @param {Link} link
   * @returns {Promise<Ended|null>} null: it is up to this tab to connect
   */
  async #follow(link) {
    try {
      const { Following } = await import('./following.js');
      if (this.#leads || link.signal.aborted) return null;
      this.#following = new Following(link, {
        name: this.#name,
        cursor: this.#tab.cursor,
        attend: (type) => this.attend(type),
        post: (message) => this.#post(message),
        steal: () => this.#steal(),
      });
    } catch {
      this.leave(); // it could not be loaded
      return null;
    }
    const ended = await this.#following.run();
    this.#following = null;
    return ended;
  }

  #steal() {
    if (this.#stole) return;
    this.#stole = true;
    this.#hold(this.#key, () => this.#startLeading(), { steal: true });
  }

  /** @param {object} message */
  #post(message) {
    const lead = this.#leads ? { lead: this.#name, number: (this.#said += 1) } : null;
    this.#channel?.postMessage({ from: this.#name, ...lead, ...message });
  }

  /** @param {any} message */
  #hear(message) {
    this.#stole = false;
    if (this.#leads) this.#hearFollower(message);
    else if (message.lead) this.#following?.hear(message);
  }

  /** @param {any} message */
  #hearFollower({ type, from, state, frame }) {
    if (type === 'hello' || type === 'attention') {
      if (!this.#followers.has(from)) this.#watch(from);
      this.#followers.set(from, state);
      this.#tab.onAttention();
    }
    if (type === 'hello') this.#tellState(from);
    if (type === 'retry') this.#tab.retry();
    if (type === 'send') this.#send?.(frame.ref === undefined ? frame : { ...frame, ref: `${from}:${frame.ref}` });
  }

  /** Forget a follower as soon as it is gone: then its own lock is free. @param {string} name */
  #watch(name) {
    const { signal } = this.#joined;
    const gone = navigator.locks.request(`${this.#key}:${name}`, { signal }, () => {
      this.#followers.delete(name);
      this.#tab.onAttention();
    });
    gone.catch(() => {}); // this tab has left
  }
}
