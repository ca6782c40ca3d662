/**
 * What one client knows of one inbox. No I/O: frames and pages go in, a view comes out.
 *
 * The server's word and the user's own marks that the server has not confirmed yet are kept apart: the view is the
 * first with the second laid over it, so undoing a refused mark is only forgetting it.
 */

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {number} version of two states of one item, the one with the higher version is newer
 * @property {string} category
 * @property {string} title
 * @property {string} body
 * @property {string|null} action_url
 * @property {Record<string, unknown>|null} data
 * @property {Record<string, unknown>|null} actor
 * @property {'critical'|'high'|'normal'|'low'} priority
 * @property {string} created_at
 * @property {string} appeared_at
 * @property {string|null} expires_at
 * @property {string|null} seen_at
 * @property {string|null} read_at
 * @property {string|null} archived_at
 * @property {string|null} snoozed_until
 *
 * @typedef {{unread: number, unseen: number}} Counts
 * @typedef {{data: Item[], has_more: boolean, next: string|null, unread_count: number, unseen_count: number,
 *   cursor: string}} Page
 * @typedef {'seen'|'read'|'unread'|'archive'|'unarchive'|'snooze'} Action
 *
 * @typedef {object} Mark the user's own change, until the server's frames show it
 * @property {number} ref
 * @property {Action} action
 * @property {Set<string>} ids the items it covers here
 * @property {string|null} through for "all": the cursor up to which; null: only `ids`
 * @property {string[]} late for "all": items held here that are after that cursor
 * @property {Counts} beyond for "all": how many more it covers that are not held here
 * @property {string|null} until for snooze
 * @property {Record<string, string|null>} fields
 * @property {boolean} sent
 * @property {boolean} counted whether the server has told its counts since it was sent
 * @property {number} pings signs of life from the server since it was sent
 *
 * @typedef {{frames: any[]}} Journal what came in live while a page was being fetched
 */

const FIELDS_OF = {
  seen: ['seen_at'],
  read: ['seen_at', 'read_at'],
  unread: ['read_at'],
  archive: ['seen_at', 'read_at', 'archived_at'],
  unarchive: ['archived_at'],
  snooze: ['snoozed_until'],
};

/** @param {Item} item */
const listed = (item) => item.archived_at === null && item.snoozed_until === null;

/** @param {Item} item @returns {Counts} what this item adds to the badge */
const weight = (item) => ({
  unread: Number(listed(item) && item.read_at === null),
  unseen: Number(listed(item) && item.seen_at === null),
});

/** Newest first, as the server sorts. @param {Item} a @param {Item} b */
export const byAge = (a, b) => {
  const [left, right] = a.appeared_at === b.appeared_at ? [a.id, b.id] : [a.appeared_at, b.appeared_at];
  return left < right ? 1 : left > right ? -1 : 0;
};

/** A time is set where there is none yet (`snoozed_until` replaces), null clears. */
function withFields(/** @type {Item} */ item, /** @type {Record<string, any>} */ fields) {
  /** @type {any} */
  const changed = { ...item };
  for (const name in fields) {
    if (fields[name] === null || name === 'snoozed_until' || changed[name] === null) changed[name] = fields[name];
  }
  return changed;
}

export class InboxStore {
  /** @type {Map<string, Item>} */
  #items = new Map();
  /** @type {Mark[]} */
  #marks = [];
  /** @type {Set<Journal>} */
  #journals = new Set();
  /** @type {Counts} */
  #counts = { unread: 0, unseen: 0 };
  /** @type {Item|null} the last item of the oldest page held; whatever lies beyond it comes with `next` */
  #edge = null;
  #refs = 0;
  #told = false; // whether a frame has told the counts
  /**
   * @type {Map<string, number>} items that the cursor may not cover yet, by their place in the log; Infinity: they came
   *   with a page, which may be ahead of the frames
   */
  #late = new Map();

  /** @type {string|null} where to resume */
  cursor = null;
  /** @type {string|null} for the page after the oldest one held */
  next = null;
  /** Whether the newest page has been read once. */
  loaded = false;

  /** @returns {Item[]} what an inbox shows, newest first */
  get items() {
    return this.known.filter((item) => listed(item) && !this.#isBeyond(item));
  }

  /** @returns {Item[]} all that is held, newest first: the archived, the snoozed, and what `adopt` brought */
  get known() {
    return [...this.#items.values()].map((item) => this.#overlaid(item)).sort(byAge);
  }

  /** @returns {Counts} the badge, the user's own marks included */
  get counts() {
    let { unread, unseen } = this.#counts;
    for (const id of new Set(this.#marks.flatMap(({ ids }) => [...ids]))) {
      const item = this.#items.get(id);
      if (item === undefined) continue;
      const [said, shown] = [weight(item), weight(this.#overlaid(item))];
      unread += shown.unread - said.unread;
      unseen += shown.unseen - said.unseen;
    }
    for (const { beyond } of this.#marks) {
      unread -= beyond.unread;
      unseen -= beyond.unseen;
    }
    return { unread: Math.max(0, unread), unseen: Math.max(0, unseen) };
  }

  /** Where the server's word has brought this store: what a store needs that begins here. */
  get position() {
    return { cursor: this.cursor, counts: this.#counts, late: [...this.#late] };
  }

  /** @param {string} id */
  get(id) {
    const item = this.#items.get(id);
    return item && this.#overlaid(item);
  }

  /** The user's marks in the order in which they were made. */
  get marks() {
    return [...this.#marks];
  }

  /**
   * Take in a server frame.
   *
   * @param {any} frame
   * @returns {{reload: boolean, arrived: Item[]}} whether only a new page can tell what changed, and items that are new here
   */
  apply(frame) {
    for (const journal of this.#journals) journal.frames.push(frame);
    const outcome = this.#merge(frame);
    if (frame.cursor) this.cursor = frame.cursor;
    if (frame.counts) {
      this.#counts = frame.counts;
      this.#told = true;
    }
    if (frame.delta) {
      this.#counts = { unread: this.#counts.unread + frame.delta.unread, unseen: this.#counts.unseen + frame.delta.unseen };
      this.#late.set(frame.item.id, frame.position);
    }
    if (frame.type === 'ready') this.#late = new Map(frame.late);
    if (frame.type === 'ping') this.#late.forEach((at, id) => at <= frame.position && this.#late.delete(id));
    for (const mark of this.#marks) {
      if (mark.sent && frame.type === 'ping') mark.pings += 1;
      else if (mark.sent && frame.counts) mark.counted = true;
    }
    this.#settle();
    return outcome;
  }

  /** Call before fetching a page, so that nothing is lost that arrives meanwhile. @returns {Journal} */
  beginPage() {
    const journal = { frames: [] };
    this.#journals.add(journal);
    return journal;
  }

  /**
   * Take in a page: the newest one replaces what is held, a further one adds to it.
   *
   * @param {Journal} journal what `beginPage` gave; null page: the fetch failed
   * @param {Page|null} page
   * @param {{newest: boolean}} options
   */
  endPage(journal, page, { newest }) {
    this.#journals.delete(journal);
    if (page === null) return;
    const held = this.#items;
    if (newest) this.#items = new Map();
    if (newest) for (const { id } of page.data) if (!held.has(id)) this.#late.set(id, Infinity);
    this.#hold(page.data, held);
    this.next = page.next;
    this.#edge = page.has_more ? (page.data.at(-1) ?? null) : null;
    this.loaded = true;
    // Frames still on their way may add to the counts what a page has in its own already.
    if (!this.#told) this.#counts = { unread: page.unread_count, unseen: page.unseen_count };
    for (const frame of journal.frames) this.#merge(frame);
    this.#settle();
  }

  /**
   * Hold items of a filtered page as well: `known` has them, kept in step with the server until the newest page is read
   * anew; `items` has those of them that are not older than its oldest page.
   *
   * @param {Journal} journal what `beginPage` gave @param {Item[]} items none: the fetch failed
   */
  adopt(journal, items) {
    this.#journals.delete(journal);
    this.#hold(items, this.#items);
    for (const frame of journal.frames) this.#merge(frame);
    this.#settle();
  }

  /**
   * Show a mark at once. `through` marks everything there is up to that cursor.
   *
   * @param {Action} action
   * @param {Iterable<string>} ids
   * @param {string|null} through
   * @param {string|null} until for snooze
   * @returns {Mark|null} null if it would change nothing
   */
  mark(action, ids, through = null, until = null) {
    const time = until ?? new Date().toISOString();
    const cleared = action.startsWith('un');
    const fields = Object.fromEntries(FIELDS_OF[action].map((name) => [name, cleared ? null : time]));
    const last = FIELDS_OF[action].at(-1) ?? '';
    const covered = new Set(
      [...(through === null ? ids : this.#items.keys())].filter((id) => {
        const item = /** @type {any} */ (this.get(id));
        return item !== undefined && (item[last] === null) !== cleared;
      }),
    );
    const beyond = { unread: 0, unseen: 0 };
    if (through !== null) {
      const shown = this.counts;
      const here = this.known.map(weight);
      beyond.unread = Math.max(0, shown.unread - here.reduce((sum, one) => sum + one.unread, 0));
      beyond.unseen = Math.max(0, shown.unseen - here.reduce((sum, one) => sum + one.unseen, 0));
    }
    if (covered.size === 0 && beyond.unread === 0 && beyond.unseen === 0) return null;
    this.#refs += 1;
    const fresh = { sent: false, counted: false, pings: 0 };
    const late = through === null ? [] : [...covered].filter((id) => this.#late.has(id));
    const mark = { ref: this.#refs, action, ids: covered, through, until, late, beyond, fields, ...fresh };
    this.#marks.push(mark);
    return mark;
  }

  /** Take a mark back. @param {number} ref @returns {Mark|undefined} */
  forget(ref) {
    const mark = this.#marks.find((one) => one.ref === ref);
    this.#marks = this.#marks.filter((one) => one !== mark);
    return mark;
  }

  /** @param {any} frame */
  #merge(frame) {
    /** @type {Item[]} */
    const arrived = [];
    if (frame.type === 'item' && this.#upsert(frame.item)) arrived.push(frame.item);
    if (frame.type === 'change') return { reload: this.#change(frame), arrived };
    return { reload: false, arrived };
  }

  /** @param {Item[]} items @param {Map<string, Item>} held what may be newer already */
  #hold(items, held) {
    for (const item of items) {
      const known = held.get(item.id);
      this.#items.set(item.id, known && known.version > item.version ? known : item);
    }
  }

  /** Whether an item is older than the oldest page. @param {Item} item */
  #isBeyond(item) {
    return this.#edge !== null && byAge(item, this.#edge) > 0;
  }

  /** @param {Item} item @returns {boolean} whether it was not held before */
  #upsert(item) {
    const known = this.#items.get(item.id);
    if (known) {
      if (item.version > known.version) this.#items.set(item.id, item);
      return false;
    }
    if (this.#isBeyond(item)) return false;
    this.#items.set(item.id, item);
    return listed(item);
  }

  /** @param {any} frame @returns {boolean} whether items came back that are not held here */
  #change({ fields, ids = [], all = false, but = [], version = null }) {
    const except = new Set(but);
    const touched = all ? [...this.#items.keys()].filter((id) => !except.has(id)) : ids;
    let unknown = false;
    for (const id of touched) {
      const item = this.#items.get(id);
      if (item === undefined) unknown = true;
      else if (fields.removed === true) this.#items.delete(id);
      else if (version === null || item.version < version) {
        this.#items.set(id, { ...withFields(item, fields), version: version ?? item.version });
      }
    }
    return unknown && fields.removed !== true && (fields.archived_at === null || fields.snoozed_until === null);
  }

  /** @param {Item} item @returns {Item} */
  #overlaid(item) {
    return this.#marks.reduce((shown, mark) => (mark.ids.has(item.id) ? withFields(shown, mark.fields) : shown), item);
  }

  /**
   * Let go of marks that the server's frames show by now, oldest first: a later mark of the same item waits for
   * the earlier one. One that two pings did not confirm changed nothing there, and the server's word stands.
   */
  #settle() {
    const waiting = new Set();
    this.#marks = this.#marks.filter((mark) => {
      const shown = [...mark.ids].every((id) => {
        const item = /** @type {any} */ (this.#items.get(id));
        if (waiting.has(id)) return false;
        return !item || Object.entries(mark.fields).every(([name, value]) => (item[name] === null) === (value === null));
      });
      if (mark.sent && ((shown && (mark.through === null || mark.counted)) || mark.pings >= 2)) return false;
      for (const id of mark.ids) waiting.add(id);
      return true;
    });
  }
}
