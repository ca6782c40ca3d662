/** What became of the last notification, told while it happens. */

import { make } from './make.js';
import { get } from './session.js';

const EVERY_MS = 500;
const PENDING = new Set(['queued', 'sending']);

/**
 * @typedef {{user: string, seen_at: string|null, read_at: string|null}} Recipient
 * @typedef {{recipient: string, channel: string, state: string, reason: string|null, due_at: string, unless: string|null}} Delivery
 * @typedef {{title: string, created_at: string, recipients: Recipient[], deliveries: Delivery[]}} Told
 * @typedef {import('./session.js').DemoUser} DemoUser
 */

export class Story {
  /** @type {string|null} */
  #id = null;
  #place;
  #users;
  #onMailed;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  #mailed = 0;

  /** @param {HTMLElement} place @param {DemoUser[]} users @param {() => void} onMailed */
  constructor(place, users, onMailed) {
    this.#place = place;
    this.#users = users;
    this.#onMailed = onMailed;
  }

  /** @param {string} id */
  follow(id) {
    this.#id = id;
    this.#mailed = 0;
    this.refresh();
  }

  /** Look again; goes on by itself while something is still to come. */
  async refresh() {
    clearTimeout(this.#timer);
    const id = this.#id;
    if (id === null) return;
    /** @type {Told|null} */
    const told = await get(`demo/notifications/${id}`).catch(() => null); // the windows show that it is out of reach
    if (id !== this.#id) return;
    clearTimeout(this.#timer);
    if (told !== null) this.#show(told);
    if (told === null || told.deliveries.some(({ state }) => PENDING.has(state))) {
      this.#timer = setTimeout(() => this.refresh(), EVERY_MS);
    }
  }

  /** @param {Told} told */
  #show(told) {
    const mailed = told.deliveries.filter(({ state }) => !PENDING.has(state) && state !== 'cancelled').length;
    if (mailed > this.#mailed) this.#onMailed();
    this.#mailed = mailed;
    const heading = make('p', 'what');
    heading.append(make('strong', '', told.title), make('span', 'hush', `published at ${clock(told.created_at)}`));
    const list = make('ul', 'ways');
    for (const recipient of told.recipients) {
      const user = this.#users.find((one) => one.user === recipient.user);
      const delivery = told.deliveries.find((one) => one.recipient === recipient.user);
      if (user) list.append(way(told, recipient, delivery, user));
    }
    this.#place.replaceChildren(heading, list);
  }
}

/** @param {Told} told @param {Recipient} recipient @param {Delivery|undefined} delivery @param {DemoUser} user */
function way(told, recipient, delivery, user) {
  const name = user.name.split(' ')[0];
  const row = make('li', 'way');
  row.dataset.user = user.user;
  const steps = make('ol', 'steps');
  steps.append(step('Published', clock(told.created_at), 'done'));
  const attention = recipient.read_at ? ['Read', recipient.read_at] : recipient.seen_at ? ['Seen', recipient.seen_at] : null;
  steps.append(attention ? step(attention[0] ?? '', clock(attention[1] ?? ''), 'done') : step('In the inbox', 'not seen yet', 'open'));
  const mail = mailStep(delivery, user, name, recipient);
  steps.append(step('E-mail', mail.note, mail.look));
  row.append(make('span', 'face', name[0]), steps, make('p', 'why', mail.why));
  return row;
}

/**
 * @param {Delivery|undefined} delivery
 * @param {DemoUser} user
 * @param {string} name
 * @param {Recipient} recipient
 * @returns {{note: string, look: string, why: string}}
 */
function mailStep(delivery, user, name, recipient) {
  if (delivery === undefined) return { note: 'not asked for', look: 'off', why: `${name} finds it in the bell; nothing else was asked for.` };
  const left = Math.max(0, Math.ceil((Date.parse(delivery.due_at) - Date.now()) / 1000));
  const rung = delivery.unless ?? '';
  switch (delivery.state) {
    case 'queued':
      return rung === ''
        ? { note: `in ${left} s`, look: 'wait', why: `${name} gets an e-mail in any case.` }
        : { note: `in ${left} s`, look: 'wait', why: `Unless ${name} has ${rung} it by then, it goes to ${user.email}.` };
    case 'sending':
      return { note: 'on its way', look: 'wait', why: `It is being sent to ${user.email}.` };
    case 'cancelled':
      return { note: 'not needed', look: 'off', why: `${name} ${recipient.read_at ? 'read' : 'saw'} it in time, so no e-mail was sent.` };
    case 'sent':
    case 'delivered':
      return { note: 'sent', look: 'mailed', why: sentBecause(rung, name, user.email) };
    default:
      return { note: delivery.state, look: 'bad', why: delivery.reason ?? `The e-mail ended as ${delivery.state}.` };
  }
}

/** @param {string} rung @param {string} name @param {string} email */
function sentBecause(rung, name, email) {
  if (rung === '') return `Sent to ${email}, as asked.`;
  return `${name} had not ${rung} it in time, so it was sent to ${email}.`;
}

/** @param {string} title @param {string} note @param {string} look */
function step(title, note, look) {
  const element = make('li', look);
  element.append(make('b', '', title), make('span', '', note));
  return element;
}

/** @param {string} time */
function clock(time) {
  return new Date(time).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}
