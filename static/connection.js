/**
 * Staying connected: which transport, when to come back, when silence means that a connection is dead.
 */

/**
 * @typedef {'stopped'|'connecting'|'online'|'waiting'|'refused'} Status
 *   `waiting`: lost, and coming back at `retryAt`; `refused`: the server will not have this token
 *
 * @typedef {object} Owner
 * @property {() => string|null} cursor where to resume
 * @property {() => object} position where a tab that joins begins: a `ready`'s cursor, counts and `late`
 * @property {() => 'active'|'away'} attention of this tab
 * @property {(state: 'active'|'away') => void} onAttention tell the server; it is that of all tabs
 * @property {() => Promise<string>} token
 * @property {(frame: any, live: boolean) => void} onFrame `live`: `ready` has come
 * @property {() => void} onStatus
 * @property {(code: string, message: string) => void} onFailure
 */

import { BackOff } from './back-off.js';
import { SharedConnection } from './shared-connection.js';
import { webSocket } from './transport.js';
import { callAt } from './wall-clock.js';

const PATIENCE_MS = 15_000; // for a connection to become ready
const PROBE_MS = 5_000; // for an answer to our own ping, and for a transport that was blocked the last time
const STABLE_MS = 60_000; // after which the next failure is a first one
const UNAUTHENTICATED = new Set([401, 4102]);
const BUSY = new Set([429, 503]); // the hub's own answers: it is in reach, but has no room
const RENEW_MS = 1_000; // a token of the very second of a revocation is refused: ask for one a second later

export class Connection {
  /** @type {Status} */
  status = 'stopped';
  retryAt = 0;
  /** The id that the server gave to this connection. */
  id = '';
  /** @type {((frame: object) => void)|null} sends a frame, on a transport that can */
  send = null;

  #url;
  #owner;
  #first; // rung of the ladder
  /** @type {import('./ladder.js').Ladder|null} null: WebSockets have not failed, and are not to be avoided */
  #ladder = null;
  /** @type {SharedConnection|null} */
  #shared = null;
  #backOff = new BackOff();
  /** @type {AbortController|null} from start to stop */
  #running = null;
  /** @type {AbortController|null} ends what is open or opening */
  #current = null;
  #hush = () => {}; // ends the wait for a sign of life
  #silent = false; // whether the last connection ended for want of one
  #patience = PATIENCE_MS;
  #token = ''; // the last one that was shown
  /** @type {string|null} what the hub would not have; it is not shown again */
  #refused = null;
  #refusals = 0; // since the last `ready`
  /** @type {string|null} asked for already, for the next connection */
  #renewed = null;
  /** @type {'active'|'away'|null} the attention that the server knows */
  #told = null;
  /** @type {Promise<void>|null} */
  #asleep = null;
  #wakeUp = () => {};

  /**
   * @param {string} url @param {number} rung where on the ladder to begin @param {boolean} shared with other tabs
   * @param {Owner} owner
   */
  constructor(url, rung, shared, owner) {
    this.#url = url;
    this.#first = Math.max(rung, globalThis.WebSocket === undefined ? 1 : 0); // Node has it since 22
    this.#owner = owner;
    if (!shared) return;
    this.#shared = new SharedConnection({
      cursor: owner.cursor,
      position: owner.position,
      attention: owner.attention,
      onAttention: () => this.attend(),
      retryAt: () => (this.status === 'waiting' ? this.retryAt : null),
      interrupt: () => this.restart(),
      retry: () => this.retry(),
    });
  }

  get transport() {
    return this.#shared?.transport ?? this.#rung.name;
  }

  get #rung() {
    return this.#ladder?.rung ?? webSocket;
  }

  /** Whether another tab has the connection that this one hears. */
  get follows() {
    return this.#shared?.follows ?? false;
  }

  start() {
    if (this.#running !== null) return;
    this.#running = new AbortController();
    this.#backOff.reset();
    this.#refused = null;
    this.#refusals = 0;
    this.#renewed = null;
    this.#listen(this.#running.signal);
    this.#run(this.#running.signal);
  }

  /** @param {Status} status */
  stop(status = 'stopped') {
    this.#running?.abort();
    this.#running = null;
    this.restart();
    this.#shared?.leave();
    this.#wakeUp();
    this.#become(status);
  }

  /** Try now instead of when the back-off ends; on an open connection, find out whether it still lives. */
  retry() {
    if (this.follows) this.#shared?.retry();
    else if (this.status === 'online' && this.send === null) this.restart(); // a stream can't be asked
    else this.#probe();
    this.#backOff.wake();
  }

  /** End the connection that there is, and make a new one. */
  restart() {
    this.#current?.abort();
  }

  /** Tell the server if the attention has changed. */
  attend() {
    if (this.status !== 'online') return; // connecting tells it
    if (this.follows) {
      this.#shared?.attend();
      return;
    }
    const state = this.#attention();
    if (state === this.#told) return;
    this.#told = state;
    this.#owner.onAttention(state);
  }

  #attention() {
    return this.#shared?.attention() ?? this.#owner.attention();
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    /** @type {Record<string, () => void>} */
    const reactions = {
      online: () => {
        this.#ladder?.reset(); // another network may let through what the last one blocked
        this.retry();
      },
      offline: () => this.#probe(),
      // A page that sleeps hears nothing, and keeps others from leading: it leaves, and comes back.
      freeze: () => this.#sleep(),
      pagehide: () => this.#sleep(),
      resume: () => this.#wakeUp(),
      pageshow: () => this.#wakeUp(),
    };
    for (const [type, react] of Object.entries(reactions)) {
      globalThis.addEventListener?.(type, react, { signal, capture: true });
    }
  }

  #sleep() {
    if (this.#asleep !== null) return;
    this.#asleep = new Promise((resolve) => {
      this.#wakeUp = () => {
        this.#asleep = null;
        resolve();
        this.#backOff.wake();
      };
    });
    this.restart();
    this.#shared?.leave();
  }

  #probe() {
    if (this.status !== 'online' || this.send === null || this.follows) return;
    this.send({ type: 'ping' });
    this.#expectWithin(PROBE_MS);
  }

  /** @param {AbortSignal} running */
  async #run(running) {
    for (;;) {
      if (this.#asleep !== null) await this.#asleep;
      if (running.aborted) return;
      this.#become('connecting');
      const began = Date.now();
      const trying = this.#ladder?.trying;
      const { ended, ready } = await this.#connect(running);
      if (running.aborted) return;
      if (ready && Date.now() - began >= STABLE_MS) this.#backOff.reset();
      if (ended.again) continue;
      if (this.#ladder?.trying) {
        if (trying) this.#ladder.fallBack();
        continue;
      }
      if (this.#isFinal(ended.code)) {
        this.#owner.onFailure('refused', ended.reason || `the hub refused the connection (${ended.code})`);
        this.stop('refused');
        return;
      }
      await this.#stepDownIfBlocked(ended.code, ready);
      if (running.aborted) return;
      await this.#pause(running, UNAUTHENTICATED.has(ended.code) ? RENEW_MS : ended.afterMs);
    }
  }

  /** @param {AbortSignal} running */
  async #connect(running) {
    const current = new AbortController();
    const hungUp = new Promise((_, reject) => current.signal.addEventListener('abort', () => reject(new Error('gave up'))));
    this.#current = current;
    this.#silent = false;
    this.#patience = this.#ladder?.trying ? PROBE_MS : PATIENCE_MS;
    this.#expectWithin(this.#patience);
    const stay = this.#ladder?.whenToTry(() => current.abort());
    let ready = false;
    /** @type {import('./transport.js').Ended} */
    let ended;
    try {
      const fresh = this.#renewed ?? Promise.race([this.#owner.token(), hungUp]);
      this.#renewed = null;
      this.#token = /** @type {string} */ (await fresh);
      if (this.#first > 0) await this.#loadLadder();
      ended = await this.#open({
        url: this.#url,
        token: this.#token,
        cursor: this.#owner.cursor(),
        attention: () => (this.#told = this.#attention()),
        signal: current.signal,
        onWritable: (send) => (this.send = send),
        onDelay: (until) => this.#onDelay(until),
        onFrame: (frame) => {
          if (current.signal.aborted) return;
          ready ||= frame.type === 'ready';
          this.#receive(frame, ready);
        },
      });
    } catch (error) {
      if (!running.aborted && !current.signal.aborted) this.#owner.onFailure('unreachable', String(error));
      ended = { code: 0, reason: String(error), afterMs: null };
    }
    if (UNAUTHENTICATED.has(ended.code)) {
      this.#refused = this.#token;
      this.#refusals += 1;
    }
    hungUp.catch(() => {});
    current.abort();
    this.#hush();
    stay?.();
    this.send = null;
    return { ended, ready };
  }

  async #loadLadder() {
    const { Ladder } = await import('./ladder.js');
    return (this.#ladder ??= new Ladder(this.#first));
  }

  /** @param {import('./transport.js').Link} link */
  #open(link) {
    if (link.token === this.#refused) return refusedAlready();
    return this.#shared?.open(link, this.#rung) ?? this.#rung.open(link);
  }

  /** The tab that has the connection has lost it. @param {number|null} until when it tries again; null: now */
  #onDelay(until) {
    this.retryAt = until ?? 0;
    this.#expectWithin(Math.max(0, this.retryAt - Date.now()) + 2 * PATIENCE_MS);
    this.#become(until === null ? 'connecting' : 'waiting');
  }

  /** @param {any} frame @param {boolean} live */
  #receive(frame, live) {
    this.#expectWithin(this.#patience);
    if (frame.type === 'reconnect') {
      // Leave at the time that the server gave, whether or not it has hung up by then.
      const current = this.#current;
      this.#backOff.plan(Date.now() + frame.after_ms);
      setTimeout(() => current?.abort(), frame.after_ms);
      return;
    }
    if (frame.type === 'reauth') {
      this.#reauthenticate();
      return;
    }
    if (frame.type === 'reauthenticated') return;
    if (frame.type === 'error' && frame.code === 'token_revoked') {
      this.#backOff.plan(Date.now() + RENEW_MS * (1 + Math.random()));
    }
    if (frame.type === 'ready') {
      this.id = frame.connection;
      this.#patience = 2 * frame.ping_ms;
      this.#expectWithin(this.#patience);
      if (!this.follows) this.#ladder?.succeed();
      this.#refusals = 0;
      this.#become('online');
      this.attend();
    }
    this.#owner.onFrame(frame, live);
  }

  /**
   * Show a fresh token before the last one ends. Where none is to be had, the server ends the connection in time, and
   * coming back asks again.
   */
  async #reauthenticate() {
    const current = this.#current;
    try {
      const token = await this.#owner.token();
      if (current === null || current.signal.aborted) return;
      if (this.send === null) {
        this.#renewed = token; // a stream can't send: it begins anew where it was
        current.abort();
      } else {
        this.#token = token;
        this.send({ type: 'reauth', token });
      }
    } catch (error) {
      if (!current?.signal.aborted) this.#owner.onFailure('unreachable', String(error));
    }
  }

  /** Hang up unless something comes in within so many milliseconds. @param {number} ms */
  #expectWithin(ms) {
    const current = this.#current;
    this.#hush();
    this.#hush = callAt(Date.now() + ms, () => {
      this.#silent = true;
      current?.abort();
    });
  }

  /** A token may just have run out, or be revoked: one that was refused is renewed once. */
  #isFinal(/** @type {number} */ code) {
    if (UNAUTHENTICATED.has(code)) return this.#refusals > 1;
    return code === 403 || (code >= 4100 && code < 4200);
  }

  /** Where the hub answers but a transport does not get through, it is blocked on the way: take the next one. */
  async #stepDownIfBlocked(/** @type {number} */ code, /** @type {boolean} */ ready) {
    if (ready || UNAUTHENTICATED.has(code) || (code >= 4000 && code < 4100)) return;
    if (BUSY.has(code)) {
      this.#ladder?.reset(); // a WebSocket that was refused for want of room looks like one that is blocked
      return;
    }
    const silent = this.#silent;
    const signal = AbortSignal.timeout(PROBE_MS);
    const answers = await fetch(`${this.#url}/healthz`, { cache: 'no-store', signal }).then(
      (answer) => answer.ok,
      () => false,
    );
    if (!answers) this.#ladder?.excuse();
    else await this.#loadLadder().then((ladder) => ladder.fail(silent), () => {}); // next time, if it does not come
  }

  /** @param {AbortSignal} running @param {number|null} asked how long the server wants it to wait */
  async #pause(running, asked) {
    this.#backOff.fail(asked);
    this.retryAt = this.#backOff.until;
    this.#become('waiting');
    this.#shared?.tellLost();
    await this.#backOff.wait(running);
  }

  /** @param {Status} status */
  #become(status) {
    if (status === this.status) return;
    this.status = status;
    this.#owner.onStatus();
  }
}

/** Stands in for a transport when the token is still the one that was refused. */
async function refusedAlready() {
  return { code: 4102, reason: 'the token is still the one that was refused', afterMs: null };
}
