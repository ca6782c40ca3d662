/** Tells which rows somebody had a second to look at. */

const LONG_ENOUGH_MS = 1_000;
const GATHER_MS = 150; // rows that become seen together are told together

export class SeenWatcher {
  #isLooking;
  #onSeen;
  #observer;
  /** @type {Map<Element, string>} rows that are watched */
  #ids = new Map();
  /** @type {Set<Element>} rows within the list's visible part */
  #visible = new Set();
  /** @type {Map<Element, ReturnType<typeof setTimeout>>} */
  #timers = new Map();
  /** @type {Set<string>} */
  #seen = new Set();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #gathering;

  /**
   * @param {Element} root the scrolling part
   * @param {() => boolean} isLooking whether somebody looks at the page at all; call `update` when that changes
   * @param {(ids: string[]) => void} onSeen
   */
  constructor(root, isLooking, onSeen) {
    this.#isLooking = isLooking;
    this.#onSeen = onSeen;
    this.#observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting) this.#visible.add(target);
          else this.#visible.delete(target);
        }
        this.update();
      },
      { root, threshold: 0.5 },
    );
  }

  /** @param {Element} row @param {string} id */
  watch(row, id) {
    if (this.#ids.has(row)) return;
    this.#ids.set(row, id);
    this.#observer.observe(row);
  }

  /** @param {Element} row */
  unwatch(row) {
    if (!this.#ids.delete(row)) return;
    this.#observer.unobserve(row);
    this.#visible.delete(row);
    this.update();
  }

  /** Start the second of what is looked at, and break it off for what is not. */
  update() {
    const looking = this.#isLooking();
    for (const [row, timer] of this.#timers) {
      if (looking && this.#visible.has(row)) continue;
      clearTimeout(timer);
      this.#timers.delete(row);
    }
    if (!looking) return;
    for (const row of this.#visible) {
      if (!this.#timers.has(row)) this.#timers.set(row, setTimeout(() => this.#elapsed(row), LONG_ENOUGH_MS));
    }
  }

  stop() {
    this.#observer.disconnect();
    clearTimeout(this.#gathering);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const kept of [this.#ids, this.#visible, this.#timers, this.#seen]) kept.clear();
  }

  /** @param {Element} row */
  #elapsed(row) {
    this.#timers.delete(row);
    this.#seen.add(this.#ids.get(row) ?? '');
    this.unwatch(row);
    clearTimeout(this.#gathering);
    this.#gathering = setTimeout(() => {
      this.#onSeen([...this.#seen]);
      this.#seen.clear();
    }, GATHER_MS);
  }
}
