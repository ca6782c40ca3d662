/**
 * Which transport to use where WebSockets may not get through: the best that does, and from time to time another try of
 * the best there is. Loaded only there.
 */

import { poll, sse } from './streams.js';
import { webSocket } from './transport.js';
import { callAt } from './wall-clock.js';

/** @type {import('./transport.js').Rung[]} */
const RUNGS = [webSocket, { name: 'sse', open: sse }, { name: 'poll', open: poll }];
const BLOCKED = 2; // failures in a row, with the hub in reach, that mean a transport doesn't get through
const CLIMB_MS = { first: 300_000, most: 3_600_000 }; // until a transport that was blocked is tried again

export class Ladder {
  /** Whether this is another try of what was blocked. */
  trying = false;

  #first;
  #at;
  #worked = 0; // the rung to return to after another try
  #failures = 0;
  #climbAfter = CLIMB_MS.first;
  #climbAt = 0;

  /** @param {number} first the rung to begin with; 0: WebSocket */
  constructor(first) {
    this.#first = this.#at = first;
  }

  get rung() {
    return RUNGS[this.#at];
  }

  /** Begin anew: what was blocked may be so no more, or never was. */
  reset() {
    this.#at = this.#first;
    this.trying = false;
  }

  /** What is used gets through. */
  succeed() {
    this.#failures = 0;
    this.#climbAfter = this.#at === this.#first ? CLIMB_MS.first : this.#climbAfter;
    this.trying = false;
  }

  /** It did not get through although the hub is in reach. @param {boolean} silent nothing came, instead of an end */
  fail(silent) {
    this.#failures += silent ? BLOCKED : 1;
    if (this.#failures < BLOCKED) return;
    this.#failures = 0;
    this.#at = Math.min(this.#at + 1, RUNGS.length - 1);
    this.#climbAt = Date.now() + this.#climbAfter;
  }

  /** It did not get through, but the hub was out of reach. */
  excuse() {
    this.#failures = 0;
  }

  /** @param {() => void} leave called when it is time to leave a lower rung, to try the first @returns {() => void} cancel */
  whenToTry(leave) {
    if (this.#at === this.#first) return () => {};
    return callAt(this.#climbAt, () => {
      this.#worked = this.#at;
      this.#at = this.#first;
      this.trying = true;
      leave();
    });
  }

  /** The other try was in vain, and the next comes later. */
  fallBack() {
    this.trying = false;
    this.#at = this.#worked;
    this.#climbAfter = Math.min(2 * this.#climbAfter, CLIMB_MS.most);
    this.#climbAt = Date.now() + this.#climbAfter;
  }
}
