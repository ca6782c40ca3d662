/**
 * One connection for all tabs of a browser that show the same inbox.
 *
 * Whoever holds a Web Lock leads: it has the connection, and passes on every frame by a BroadcastChannel. The others
 * follow: to them, this is one more transport. When the leading tab is closed or crashes, the browser hands the lock to
 * the next one, which connects with its own cursor. A tab that is put to sleep gives the lock up; one that fell silent
 * without doing so loses it.
 *
 * Followers hold what the leader holds as long as they have heard all that it said, one message after the other. A tab
 * that comes late, or missed something, is told where the others are, and reads the newest page again.
 */

/**
 * @typedef {import('./transport.js').Link} Link
 * @typedef {import('./transport.js').Ended} Ended
 * @typedef {{name: string, open: import('./transport.js').Transport}} Rung
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

const ANSWER_MS = 5_000; // for the leader to answer; more than the longest task of a busy page
const PROTOCOL = 1; // of the messages: tabs of different releases keep to themselves if this changes
const CONNECTIONS_OWN = new Set(['reauth', 'reauthenticated', 'reconnect']); // frames for whoever has the connection

/** Whether this is a browser that can. */
export const canShare = () =>
  globalThis.location !== undefined && globalThis.navigator?.locks !== undefined && globalThis.BroadcastChannel !== undefined;

export class SharedConnection {
  /** @type {string|null} while following: the transport of the tab that leads */
  transport = null;

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
  /** @type {(ended: Ended|null) => void} ends following; null: this tab leads now */
  #endFollowing = () => {};

  // While leading:
  #said = 0;
  /** @type {Map<string, Attention>} of the tabs that follow */
  #followers = new Map();
  /** @type {((frame: object) => void)|null} */
  #send = null;
  /** @type {any} the last `ready`, while online */
  #ready = null;
  #carries = ''; // the transport in use

  // While following:
  /** @type {Link|null} */
  #link = null;
  #leader = '';
  #heard = 0;
  #inStep = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #unanswered;

  /** @param {Tab} tab */
  constructor(tab) {
    this.#tab = tab;
  }

  /** Whether another tab has the connection. */
  get follows() {
    return this.#link !== null;
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
    else if (key !== this.#key) this.#join(key);
    if (this.#channel === null) return rung.open(link);
    const ended = this.#leads ? null : await this.#follow(link);
    return ended ?? this.#lead(link, rung);
  }

  /** Tell the others that the connection is lost, and when this tab tries again. */
  tellLost() {
    if (this.#leads) this.#tellState();
  }

  /** Tell this tab's attention to the one that leads. */
  attend() {
    this.#post({ type: 'attention', state: this.#tab.attention() });
  }

  /** Ask the leader to try again. */
  retry() {
    if (this.#link !== null) this.#post({ type: 'retry' });
  }

  /** Let go of the others. */
  leave() {
    this.#joined.abort();
    this.#channel?.close();
    this.#channel = null;
    this.#key = '';
    this.#stopLeading();
  }

  /** @param {string} key */
  #join(key) {
    this.leave();
    const { signal } = (this.#joined = new AbortController());
    try {
      this.#channel = new BroadcastChannel(key);
    } catch {
      return; // not allowed here: this tab connects by itself
    }
    this.#key = key;
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#hold(`${key}:${this.#name}`, () => {}); // is free again when this tab is gone, whatever became of it
    this.#hold(key, () => this.#startLeading());
  }

  /**
   * Ask for a lock, and keep it until `leave`, or until it is taken away.
   *
   * @param {string} name @param {() => void} onGranted @param {LockOptions} [options]
   */
  #hold(name, onGranted, options) {
    const { signal } = this.#joined;
    const left = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    navigator.locks
      .request(name, options ?? { signal }, () => {
        if (signal.aborted) return undefined;
        onGranted();
        return left;
      })
      .catch(() => {
        if (signal.aborted) return;
        // It was stolen, as this tab slept; or the browser allows no locks here.
        const wasLeader = this.#leads;
        this.#stopLeading();
        if (wasLeader) this.#hold(name, onGranted);
        else this.leave();
        this.#tab.interrupt();
      });
  }

  #startLeading() {
    this.#stopWaiting();
    this.#leads = true;
    this.#endFollowing(null);
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
   * Hear the leader, until there is none.
   *
   * @param {Link} link
   * @returns {Promise<Ended|null>} null: nobody led, and now this tab does
   */
  async #follow(link) {
    this.#link = link;
    this.#inStep = false;
    this.#leader = '';
    const ended = await new Promise((/** @type {(ended: Ended|null) => void} */ resolve) => {
      const silent = { code: 1006, reason: 'the tab that has the connection fell silent', afterMs: null, again: true };
      link.signal.addEventListener('abort', () => resolve(silent), { once: true });
      this.#endFollowing = resolve;
      this.#greet();
    });
    const alone = ended === null && this.#leader === '';
    this.#stopWaiting();
    this.#link = this.transport = null;
    return ended ?? (alone ? null : { code: 1001, reason: 'this tab has the connection now', afterMs: null, again: true });
  }

  /** Ask where the leader is. One that does not answer loses the lock. */
  #greet() {
    this.#post({ type: 'hello', state: this.#tab.attention() });
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      this.#unanswered = undefined;
      if (this.#stole) return;
      this.#stole = true;
      this.#hold(this.#key, () => this.#startLeading(), { steal: true });
    }, ANSWER_MS);
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
    else if (message.lead && this.#link !== null) this.#hearLeader(message, this.#link);
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

  /** @param {any} message @param {Link} link */
  #hearLeader({ type, lead, number, to = this.#name, ...told }, link) {
    const isNext = lead === this.#leader && number === this.#heard + 1;
    if (!isNext && type !== 'opening' && !(type === 'state' && to === this.#name)) {
      if (this.#unanswered === undefined) this.#greet(); // something was missed
      return;
    }
    this.#stopWaiting();
    this.#leader = lead;
    this.#heard = number;
    if (to !== this.#name) return;
    if (type === 'frame') {
      this.#pass(told.frame, link);
      return;
    }
    this.transport = told.transport;
    const { cursor = null, late = [] } = told.ready ?? told;
    this.#inStep = (isNext && this.#inStep) || (cursor === this.#tab.cursor() && late.length === 0);
    if (told.ready) {
      this.#pass(told.ready, link);
    } else {
      link.onWritable(null);
      link.onDelay(told.retryAt ?? null);
    }
    if (type === 'opening') this.attend();
  }

  /** @param {any} frame @param {Link} link */
  #pass(frame, link) {
    if (frame.type === 'ready') {
      if (!this.#inStep) link.onFrame({ type: 'resync', reason: 'joined', cursor: frame.cursor, counts: frame.counts });
      if (this.transport === 'websocket') link.onWritable((said) => this.#post({ type: 'send', frame: said }));
      this.#inStep = true;
    }
    link.onFrame(frame);
  }

  #stopWaiting() {
    clearTimeout(this.#unanswered);
    this.#unanswered = undefined;
  }
}
