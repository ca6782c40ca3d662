/**
 * Of a long list there are elements only around what is visible. Rows that were never shown are taken to be as high as
 * the first ones on average, so the scroll bar moves a little as they turn out otherwise; what is on the screen does not.
 * That guess stays as it is: with another one, a place in the list would no longer be where it was drawn.
 */

const FIRST_GUESS = 84; // pixels
const AROUND = 400; // pixels above and below what is visible
const STEP = 10; // rows: the range moves by several at once

/** @typedef {{start: number, end: number, before: number, after: number}} Range rows from `start` to `end` (without it), and the height of the others */

export class LongList {
  #scroll;
  /** @type {Map<string, number>} */
  #heights = new Map();
  #guess = FIRST_GUESS;
  /** @type {string[]} */
  #ids = [];
  #width = 0;
  /** @type {Range} */
  #range = { start: 0, end: 0, before: 0, after: 0 };

  /** @param {HTMLElement} scroll @param {() => void} onMove another range has come into view */
  constructor(scroll, onMove) {
    let waiting = false;
    this.#scroll = scroll;
    scroll.style.overflowAnchor = 'none';
    const look = () => {
      waiting = false;
      const { start, end } = this.#range;
      this.#find();
      if (start !== this.#range.start || end !== this.#range.end) onMove();
    };
    scroll.addEventListener(
      'scroll',
      () => {
        if (!waiting) requestAnimationFrame(look);
        waiting = true;
      },
      { passive: true },
    );
  }

  /** @param {string[]} ids of all rows @returns {Range} */
  range(ids) {
    this.#ids = ids;
    this.#find();
    return this.#range;
  }

  /** Draw, and keep the first visible row where it is; at the very top, new rows show. @param {Element} list @param {() => Map<string, HTMLElement>} draw */
  hold(list, draw) {
    const edge = this.#scroll.getBoundingClientRect();
    if (edge.width !== this.#width) {
      this.#width = edge.width;
      this.#heights.clear();
    }
    const first = this.#scroll.scrollTop === 0 ? undefined : [...list.children].find((row) => row.getBoundingClientRect().bottom > edge.top);
    const top = first?.getBoundingClientRect().top ?? 0;
    if (this.#heights.size === 0) {
      this.#measure(draw());
      this.#guess = [...this.#heights.values()].reduce((sum, height) => sum + height, 0) / this.#heights.size || FIRST_GUESS;
    }
    this.#measure(draw());
    if (first?.isConnected) this.#scroll.scrollTop += first.getBoundingClientRect().top - top;
  }

  /** @param {Map<string, HTMLElement>} rows */
  #measure(rows) {
    const positions = new Map(this.#ids.map((id, index) => [id, index + 1]));
    for (const [id, row] of rows) {
      row.setAttribute('aria-posinset', String(positions.get(id)));
      row.setAttribute('aria-setsize', String(this.#ids.length));
      this.#heights.set(id, row.getBoundingClientRect().height);
    }
  }

  #find() {
    const { scrollTop: top, clientHeight } = this.#scroll;
    const ids = this.#ids;
    let [start, end, at, before, through] = [0, -1, 0, 0, 0];
    ids.forEach((id, index) => {
      if (index % STEP === 0 && at <= top - AROUND) [start, before] = [index, at];
      if (index % STEP === 0 && end < 0 && at >= top + clientHeight + AROUND) [end, through] = [index, at];
      at += this.#heights.get(id) ?? this.#guess;
    });
    this.#range = end < 0 ? { start, end: ids.length, before, after: 0 } : { start, end, before, after: at - through };
  }
}
