/**
 * The rows of the list: the same elements for the same items, so that focus and scrolling stay. Fetched before the list is
 * opened for the first time.
 */

import { dayOf } from './format.js';
import { rowStyle } from './row-style.js';
import { ageRow, createRow, fillRow } from './row.js';
import { SeenWatcher } from './seen-watcher.js';
import { adopt } from './style.js';

const WHOLE = 200; // rows that are there altogether; of more, only those around what is visible
const AT_FIRST = 20; // until it is known which those are

/**
 * @typedef {import('../notification-bell.js').NotificationBell} NotificationBell
 * @typedef {import('../store.js').Item} Item
 * @typedef {import('./messages.js').Words} Words
 * @typedef {(item: Item) => Element|null} RenderItem
 * @typedef {{item: Item, day: number|null, words: Words}} Shown
 */

/** @type {typeof import('./row-actions.js')|undefined} fetched for the first item that has some */
let actions;

export class ItemList {
  #bell;
  #list;
  #scroll;
  #watcher;
  /** @type {Item[]} */
  #items = [];
  /** @type {Map<string, HTMLLIElement>} */
  #rows = new Map();
  /** @type {Map<Element, Shown>} what a row shows */
  #shown = new Map();
  /** @type {Map<Element, Element>} what the page made for a row */
  #own = new Map();
  /** @type {import('./long-list.js').LongList|null|undefined} null: on its way */
  #long;

  /** @param {NotificationBell} bell @param {HTMLElement} list @param {HTMLElement} scroll what it scrolls in */
  constructor(bell, list, scroll) {
    this.#bell = bell;
    this.#list = list;
    this.#scroll = scroll;
    this.#watcher = new SeenWatcher(
      scroll,
      () => document.visibilityState === 'visible' && bell.client?.attention === 'active',
      (ids) => bell.client?.markSeen(ids),
    );
    adopt(/** @type {ShadowRoot} */ (bell.shadowRoot), rowStyle);
    list.onclick = (event) => this.#clicked(event);
  }

  /** Bring rows in line with the items. @param {Item[]} items newest first */
  draw(items) {
    this.#items = items;
    if (items.length > WHOLE && this.#long === undefined) this.#lengthen();
    if (this.#long) this.#long.hold(this.#list, () => this.#place());
    else this.#place();
  }

  /** Attention may have changed. */
  look() {
    this.#watcher.update();
  }

  /** Bring relative times up to date. */
  age() {
    for (const row of this.#rows.values()) ageRow(row, this.#bell.words);
  }

  /** Let go of all rows, and of whoever watches them. */
  clear() {
    this.#watcher.stop();
    for (const id of [...this.#rows.keys()]) this.#drop(id);
  }

  /** Go to the row after (1) or before (-1) the one that has the focus; to the first (-Infinity), to the last. @param {number} step */
  move(step) {
    const { children } = this.#list;
    if (Math.abs(step) > 1) {
      this.#scroll.scrollTop = step < 0 ? 0 : this.#scroll.scrollHeight;
      this.draw(this.#items);
    }
    const at = [...children].findIndex((row) => row.contains(this.#focused));
    const to = at < 0 && step === -1 ? Infinity : at + step;
    /** @type {HTMLElement|null|undefined} */ (children[Math.max(0, Math.min(to, children.length - 1))]?.querySelector('.main'))?.focus();
  }

  get #focused() {
    return /** @type {ShadowRoot} */ (this.#bell.shadowRoot).activeElement;
  }

  async #lengthen() {
    this.#long = null;
    const { LongList } = await import('./long-list.js');
    this.#long = new LongList(this.#scroll, () => this.draw(this.#items));
    this.draw(this.#items);
  }

  /** Have rows for what is visible. @returns {Map<string, HTMLElement>} */
  #place() {
    const items = this.#items;
    const whole = { start: 0, end: items.length > WHOLE ? AT_FIRST : WHOLE, before: 0, after: 0 };
    const { start, end, before, after } = this.#long?.range(items.map(({ id }) => id)) ?? whole;
    const wanted = items.slice(start, end);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const id of [...this.#rows.keys()]) if (!ids.has(id)) this.#drop(id);
    this.#list.style.paddingBlock = `${before}px ${after}px`;
    wanted.forEach((item, index) => {
      const row = this.#rows.get(item.id) ?? createRow();
      this.#rows.set(item.id, row);
      this.#fill(row, item, this.#dayAbove(start + index));
      const there = this.#list.children[index];
      if (there !== row) this.#list.insertBefore(row, there ?? null);
    });
    this.#watcher.update();
    return this.#rows;
  }

  /** @param {HTMLLIElement} row @param {Item} item @param {number|null} day */
  #fill(row, item, day) {
    const { words } = this.#bell;
    const shown = this.#shown.get(row);
    if (shown?.item === item && shown.day === day && shown.words === words) return;
    this.#shown.set(row, { item, day, words });
    fillRow(row, item, day, words);
    if (item.seen_at === null) this.#watcher.watch(row, item.id);
    else this.#watcher.unwatch(row);
    if (item.data?.actions) {
      if (actions) actions.fillActions(this.#bell, row, item);
      else this.#learnActions(row);
    }
    if (this.#bell.renderItem !== null) this.#render(row, item, this.#bell.renderItem);
  }

  #clicked(/** @type {MouseEvent} */ event) {
    // The path, because what the page makes of an item is not inside of the row but in its slot.
    const path = event.composedPath().filter((one) => one instanceof HTMLElement);
    const button = path.find((one) => one.matches('.main, .icon'));
    const item = button && this.#shown.get(/** @type {Element} */ (button.closest('li')))?.item;
    if (item === undefined || button === undefined) return;
    if (button.matches('.main')) this.#bell.activate(item, event);
    else this.#use(button.classList[1], item, button);
  }

  /** @param {string} tool @param {Item} item @param {HTMLElement} button */
  async #use(tool, item, button) {
    const { client, words } = this.#bell;
    const ids = [item.id];
    if (tool === 'toggle') item.read_at === null ? client?.markRead(ids) : client?.markUnread(ids);
    if (tool === 'archive') item.archived_at === null ? client?.archive(ids) : client?.unarchive(ids);
    if (tool !== 'snooze' || client === null) return;
    if (item.snoozed_until !== null) {
      await client.request(`/v1/inbox/${item.id}`, { method: 'PATCH', body: { snoozed_until: null } });
      return;
    }
    const { openSnoozeMenu } = await import('./snooze-menu.js');
    const panel = /** @type {HTMLElement} */ (this.#scroll.parentElement);
    openSnoozeMenu(button, panel, words, (until) => client.snooze(ids, until));
  }

  /** @param {Element} row drawn anew when the module has come */
  async #learnActions(row) {
    actions = await import('./row-actions.js');
    this.#shown.delete(row);
    this.draw(this.#items);
  }

  /** What the page makes of an item lives in the page, where its styles reach it. @param {Element} row @param {Item} item @param {RenderItem} render */
  #render(row, item, render) {
    const own = render(item);
    this.#own.get(row)?.remove();
    this.#own.delete(row);
    row.classList.toggle('is-own', own !== null);
    if (own === null) return;
    own.slot = `item-${item.id}`;
    this.#own.set(row, own);
    this.#bell.append(own);
  }

  /** @param {number} index @returns {number|null} the day, if the row above is of another one */
  #dayAbove(index) {
    const [above, day] = [index - 1, index].map((at) => dayOf(Date.parse(this.#items[at]?.appeared_at)));
    return above === day ? null : day;
  }

  /** @param {string} id */
  #drop(id) {
    const row = /** @type {HTMLLIElement} */ (this.#rows.get(id));
    const focused = row.contains(this.#focused);
    const heir = row.nextElementSibling ?? row.previousElementSibling;
    this.#watcher.unwatch(row);
    this.#rows.delete(id);
    this.#shown.delete(row);
    this.#own.get(row)?.remove();
    this.#own.delete(row);
    row.remove();
    const next = /** @type {HTMLElement|null} */ (heir?.querySelector('.main') ?? this.#scroll.closest('[popover]'));
    if (focused) next?.focus({ preventScroll: true });
  }
}
