/**
 * Staying connected: which transport, when to come back, when silence means that a connection is dead.
 *
 * @typedef {'stopped'|'connecting'|'online'|'waiting'|'refused'} Status
 *   `waiting`: lost, and coming back at `retryAt`; `refused`: the server will not have this token
 *
 * @typedef {object} Owner
 * @property {() => string|null} cursor where to resume
 * @property {() => 'active'|'away'} attention what to tell the server of it when connecting
 * @property {() => Promise<string>} token
 * @property {(frame: any, live: boolean) => void} onFrame `live`: `ready` has come
 * @property {() => void} onStatus
 * @property {(code: string, message: string) => void} onFailure
 */

import { poll, sse, websocket } from './transport.js';

const LADDER = [
  { name: 'websocket', open: websocket },
  { name: 'sse', open: sse },
  { name: 'poll', open: poll },
];
const PATIENCE_MS = 15_000; // for a connection to become ready
const PROBE_MS = 5_000; // for an answer to our own ping
const STABLE_MS = 60_000; // after which the next failure is a first one
const BACKOFF_MS = { first: 500, most: 30_000 };
const BLOCKED = 2; // failures in a row, with the hub in reach, that mean a transport doesn't get through
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
  #startRung;
  #rung;
  #blocked = 0;
  #failures = 0;
  /** @type {AbortController|null} from start to stop */
  #running = null;
  /** @type {AbortController|null} ends what is open or opening */
  #current = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #silence;
  #patience = PATIENCE_MS;
  #comeBackAt = 0;
  #token = ''; // the last one that was shown
  /** @type {string|null} what the hub would not have; it is not shown again */
  #refused = null;
  #refusals = 0; // since the last `ready`
  /** @type {string|null} asked for already, for the next connection */
  #renewed = null;
  #wake = () => {};
  #onOnline = () => {
    this.#rung = this.#startRung; // another network may let through what the last one blocked
    this.retry();
  };

  /** @param {string} url @param {number} rung where on the ladder to begin @param {Owner} owner */
  constructor(url, rung, owner) {
    this.#url = url;
    this.#startRung = rung;
    this.#rung = rung;
    this.#owner = owner;
  }

  get transport() {
    return LADDER[this.#rung].name;
  }

  start() {
    if (this.#running !== null) return;
    this.#running = new AbortController();
    this.#failures = 0;
    this.#refused = null;
    this.#refusals = 0;
    this.#renewed = null;
    globalThis.addEventListener?.('online', this.#onOnline);
    this.#run(this.#running.signal);
  }

  /** @param {Status} status */
  stop(status = 'stopped') {
    this.#running?.abort();
    this.#running = null;
    this.#current?.abort();
    globalThis.removeEventListener?.('online', this.#onOnline);
    this.#become(status);
  }

  /** Try now instead of when the back-off ends; on an open connection, find out whether it still lives. */
  retry() {
    if (this.status === 'online' && this.send !== null) {
      this.send({ type: 'ping' });
      this.#expectWithin(PROBE_MS);
    } else if (this.status === 'online') {
      this.#current?.abort(); // a stream can't be asked
    }
    this.#wake();
  }

  /** @param {AbortSignal} running */
  async #run(running) {
    while (!running.aborted) {
      this.#become('connecting');
      const began = Date.now();
      const { ended, ready } = await this.#connect(running);
      if (running.aborted) return;
      if (ready && Date.now() - began >= STABLE_MS) this.#failures = 0;
      if (this.#isFinal(ended.code)) {
        this.#owner.onFailure('refused', ended.reason || `the hub refused the connection (${ended.code})`);
        this.stop('refused');
        return;
      }
      await this.#stepDownIfBlocked(ended.code, ready);
      if (running.aborted) return;
      this.#failures += 1;
      await this.#pause(running, UNAUTHENTICATED.has(ended.code) ? RENEW_MS : ended.afterMs);
    }
  }

  /** @param {AbortSignal} running */
  async #connect(running) {
    const current = new AbortController();
    const hungUp = new Promise((_, reject) => current.signal.addEventListener('abort', () => reject(new Error('gave up'))));
    this.#current = current;
    this.#patience = PATIENCE_MS;
    this.#expectWithin(PATIENCE_MS);
    let ready = false;
    /** @type {import('./transport.js').Ended} */
    let ended;
    try {
      const fresh = this.#renewed ?? Promise.race([this.#owner.token(), hungUp]);
      this.#renewed = null;
      this.#token = /** @type {string} */ (await fresh);
      const open = this.#token === this.#refused ? refusedAlready : LADDER[this.#rung].open;
      ended = await open({
        url: this.#url,
        token: this.#token,
        cursor: this.#owner.cursor(),
        attention: this.#owner.attention,
        signal: current.signal,
        onWritable: (send) => (this.send = send),
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
    clearTimeout(this.#silence);
    this.send = null;
    return { ended, ready };
  }

  /** @param {any} frame @param {boolean} live */
  #receive(frame, live) {
    this.#expectWithin(this.#patience);
    if (frame.type === 'reconnect') {
      // Leave at the time that the server gave, whether or not it has hung up by then.
      const current = this.#current;
      this.#comeBackAt = Date.now() + frame.after_ms;
      setTimeout(() => current?.abort(), frame.after_ms);
      return;
    }
    if (frame.type === 'reauth') {
      this.#reauthenticate();
      return;
    }
    if (frame.type === 'reauthenticated') return;
    if (frame.type === 'error' && frame.code === 'token_revoked') {
      this.#comeBackAt = Date.now() + RENEW_MS * (1 + Math.random());
    }
    if (frame.type === 'ready') {
      this.id = frame.connection;
      this.#patience = 2 * frame.ping_ms;
      this.#expectWithin(this.#patience);
      this.#blocked = 0;
      this.#refusals = 0;
      this.#become('online');
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
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => current?.abort(), ms);
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
      this.#rung = this.#startRung; // a WebSocket that was refused for want of room looks like one that is blocked
      return;
    }
    const signal = AbortSignal.timeout(PROBE_MS);
    const answers = await fetch(`${this.#url}/healthz`, { cache: 'no-store', signal }).then(
      (answer) => answer.ok,
      () => false,
    );
    this.#blocked = answers ? this.#blocked + 1 : 0;
    if (this.#blocked < BLOCKED) return;
    this.#rung = Math.min(this.#rung + 1, LADDER.length - 1);
    this.#blocked = 0;
  }

  /** Wait as long as the server asked, and a random time that grows with each failure ("full jitter"). */
  async #pause(/** @type {AbortSignal} */ running, /** @type {number|null} */ asked) {
    const most = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** (this.#failures - 1));
    const planned = this.#comeBackAt > 0 ? Math.max(0, this.#comeBackAt - Date.now()) : null;
    const wait = planned ?? (asked ?? 0) + Math.random() * most;
    this.#comeBackAt = 0;
    this.retryAt = Date.now() + wait;
    this.#become('waiting');
    await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      running.addEventListener('abort', this.#wake, { once: true });
    });
    running.removeEventListener('abort', this.#wake);
    this.#wake = () => {};
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
