/** What a client has to say: the user's marks, each until the server has shown or refused it; acknowledgements; attention. */

/**
 * @typedef {import('./store.js').Action} Action
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {{type: string, ref?: number, ids?: string[], all?: boolean, through?: string, until?: string, state?: string}} Frame
 *
 * @typedef {object} Sender the client, as seen from here
 * @property {() => import('./store.js').InboxStore} store
 * @property {import('./connection.js').Connection} connection
 * @property {(path: string, options: {body: object}) => Promise<Response>} request
 * @property {(failure: import('./client.js').Failure) => void} onRefused with a mark, that is undone
 */

const DELIVERED_MS = 200; // gather acknowledgements for this long
const AGAIN_MS = { least: 1_000, spread: 4_000 }; // between attempts at what the hub could not do just now
const MOST_IDS = 500; // of one frame, well below what the server takes
const UNAVAILABLE = 'unavailable'; // the code of what the hub can't do now

/** @param {number|null|undefined} asked @returns {number} milliseconds until an attempt at what could not be done just now */
export function again(asked) {
  return Math.max(asked ?? 0, AGAIN_MS.least) + Math.random() * AGAIN_MS.spread;
}

export class Outbox {
  #sender;
  /** @type {Set<string>} */
  #delivered = new Set();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  #posting = Promise.resolve();

  /** @param {Sender} sender */
  constructor(sender) {
    this.#sender = sender;
  }

  get #isOnline() {
    return this.#sender.connection.status === 'online';
  }

  /** @param {Action} action @param {string[]} ids @param {string|null} [through] @param {string|null} [until] */
  mark(action, ids, through, until) {
    for (let start = 0; start === 0 || start < ids.length; start += MOST_IDS) {
      const mark = this.#sender.store().mark(action, ids.slice(start, start + MOST_IDS), through, until);
      if (mark !== null && this.#isOnline) this.#transmit(mark);
    }
  }

  /** Tell the server soon that these items have arrived. @param {string[]} ids */
  acknowledge(ids) {
    for (const id of ids) this.#delivered.add(id);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isOnline) return;
      const arrived = [...this.#delivered];
      this.#delivered.clear();
      while (arrived.length > 0) this.tell({ type: 'delivered', ids: arrived.splice(0, MOST_IDS) });
    }, DELIVERED_MS);
  }

  /** Acknowledge nothing of what has come so far. */
  forget() {
    this.#delivered.clear();
  }

  /** Say again what the last connection may have lost. */
  repeat() {
    for (const mark of this.#sender.store().marks) this.#transmit(mark);
    this.acknowledge([]);
  }

  /**
   * Undo what the hub will not do; what it can't do now is said again.
   *
   * @param {{ref?: number|null, code: string, message: string, afterMs?: number|null}} refusal
   */
  refused({ ref, code, message, afterMs }) {
    const store = this.#sender.store();
    const mark = store.marks.find((one) => one.ref === ref);
    if (mark !== undefined && code === UNAVAILABLE) {
      mark.sent = false; // so that the silence about it is not taken for an answer
      setTimeout(() => {
        if (!mark.sent && this.#isOnline && this.#sender.store().marks.includes(mark)) this.#transmit(mark);
      }, again(afterMs));
      return;
    }
    if (mark !== undefined) store.forget(mark.ref);
    const { action, ids } = mark ?? {};
    this.#sender.onRefused({ code, message, action, ids: ids && [...ids] });
  }

  /** @param {Frame} frame */
  tell(frame) {
    const { send, id } = this.#sender.connection;
    if (send !== null) {
      send(frame);
      return;
    }
    this.#posting = this.#posting
      .then(() => import('./posting.js'))
      .then(({ post }) => post(this.#sender.request, id, frame))
      .catch((error) => ({ code: UNAVAILABLE, message: String(error), afterMs: null }))
      .then((refusal) => {
        if (refusal !== null) this.refused({ ref: frame.ref, ...refusal });
      });
  }

  /** Send a mark, or send it again: the server takes it twice without harm. @param {Mark} mark */
  #transmit(mark) {
    const which = {
      ...(mark.through === null ? { ids: [...mark.ids] } : { all: true, through: mark.through }),
      ...(mark.until === null ? {} : { until: mark.until }),
    };
    Object.assign(mark, { sent: true, counted: false, pings: 0 });
    this.tell({ type: mark.action, ...which, ref: mark.ref });
    for (let start = 0; start < mark.late.length; start += MOST_IDS) {
      this.tell({ type: mark.action, ids: mark.late.slice(start, start + MOST_IDS), ref: mark.ref });
    }
  }
}
