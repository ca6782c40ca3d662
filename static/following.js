/**
 * Following the tab that has the connection: one more transport, see `shared-connection.js`. Loaded only by tabs that do.
 */

/**
 * @typedef {import('./transport.js').Link} Link
 * @typedef {import('./transport.js').Ended} Ended
 *
 * @typedef {object} Group the tabs that share a connection, as seen from this one
 * @property {string} name of this tab
 * @property {() => string|null} cursor of this tab
 * @property {(type: 'hello'|'attention') => void} attend tell the leader of this tab's attention
 * @property {(message: object) => void} post
 * @property {() => void} steal take the lead from a tab that does not answer
 */

const ANSWER_MS = 5_000; // for the leader to answer; more than the longest task of a busy page

/** @type {Ended} */
const SILENT = { code: 1006, reason: 'the tab that has the connection fell silent', afterMs: null, again: true };
/** @type {Ended} */
const PROMOTED = { code: 1001, reason: 'this tab has the connection now', afterMs: null, again: true };

export class Following {
  /** @type {string|null} the transport of the tab that leads */
  transport = null;

  #link;
  #group;
  #leader = '';
  #heard = 0;
  #inStep = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #unanswered;
  /** @type {(ended: Ended|null) => void} */
  #end = () => {};

  /** @param {Link} link @param {Group} group */
  constructor(link, group) {
    this.#link = link;
    this.#group = group;
  }

  /**
   * Hear the leader, until there is none.
   *
   * @returns {Promise<Ended|null>} null: nobody was heard, and now this tab leads
   */
  async run() {
    const ended = await new Promise((/** @type {(ended: Ended|null) => void} */ resolve) => {
      this.#end = resolve;
      this.#link.signal.addEventListener('abort', () => resolve(SILENT), { once: true });
      this.#greet();
    });
    this.#stopWaiting();
    return ended;
  }

  /** This tab leads now. */
  end() {
    this.#end(this.#leader === '' ? null : PROMOTED);
  }

  /** @param {any} message of the leader */
  hear({ type, lead, number, to = this.#group.name, ...told }) {
    const isNext = lead === this.#leader && number === this.#heard + 1;
    if (!isNext && type !== 'opening' && !(type === 'state' && to === this.#group.name)) {
      if (this.#unanswered === undefined) this.#greet(); // something was missed
      return;
    }
    this.#stopWaiting();
    this.#leader = lead;
    this.#heard = number;
    if (to !== this.#group.name) return;
    if (type === 'frame') {
      this.#pass(told.frame);
      return;
    }
    this.transport = told.transport;
    const { cursor = null, late = [] } = told.ready ?? told;
    this.#inStep = (isNext && this.#inStep) || (cursor === this.#group.cursor() && late.length === 0);
    if (told.ready) {
      this.#pass(told.ready);
    } else {
      this.#link.onWritable(null);
      this.#link.onDelay(told.retryAt ?? null);
    }
    if (type === 'opening') this.#group.attend('attention');
  }

  /** Ask where the leader is. One that does not answer loses the lock. */
  #greet() {
    this.#group.attend('hello');
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      this.#unanswered = undefined;
      this.#group.steal();
    }, ANSWER_MS);
  }

  /** @param {any} frame */
  #pass(frame) {
    const link = this.#link;
    if (frame.type === 'ready') {
      if (!this.#inStep) link.onFrame({ type: 'resync', reason: 'joined', cursor: frame.cursor, counts: frame.counts });
      if (this.transport === 'websocket') link.onWritable((said) => this.#group.post({ type: 'send', frame: said }));
      this.#inStep = true;
    }
    link.onFrame(frame);
  }

  #stopWaiting() {
    clearTimeout(this.#unanswered);
    this.#unanswered = undefined;
  }
}
