/** When to come back: what the server asked for, and a random time that grows with each failure ("full jitter"). */

import { callAt } from './wall-clock.js';

const FIRST_MS = 500;
const MOST_MS = 30_000;

export class BackOff {
  /** When the wait ends (milliseconds since the epoch). */
  until = 0;

  #failures = 0;
  #planned = 0; // when the server wants this client back; 0: it has not said
  #wake = () => {};

  /** The next failure is a first one. */
  reset() {
    this.#failures = 0;
  }

  /** Wait until then, whatever else is asked. @param {number} time milliseconds since the epoch */
  plan(time) {
    this.#planned = time;
  }

  /** Count one more failure, and decide how long to wait. @param {number|null} asked milliseconds, by the server */
  fail(asked) {
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.until = this.#planned > 0 ? Math.max(Date.now(), this.#planned) : Date.now() + (asked ?? 0) + Math.random() * most;
    this.#planned = 0;
  }

  /** Wait until it is time, or `wake` is called. @param {AbortSignal} signal ends it as well */
  async wait(signal) {
    await new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      const cancel = callAt(this.until, () => resolve());
      this.#wake = () => {
        cancel();
        resolve();
      };
      signal.addEventListener('abort', this.#wake, { once: true });
    });
    signal.removeEventListener('abort', this.#wake);
    this.#wake = () => {};
  }

  wake() {
    this.#wake();
  }
}
