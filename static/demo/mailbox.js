/** The development mailbox: what a real provider would have sent. */

import { make } from './make.js';
import { get } from './session.js';

const EVERY_MS = 1_500;
const MOST = 50;

/** @typedef {{seq: number, channel: string, to: string, subject: string, text: string, html: string|null, sent_at: string}} Message */

export class Mailbox {
  /** @type {Message[]} newest first */
  #messages = [];
  /** @type {Message|null} */
  #shown = null;
  #asText = false;
  #place;
  #names;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /** @param {HTMLElement} place @param {import('./session.js').DemoUser[]} users */
  constructor(place, users) {
    this.#place = place;
    this.#names = new Map(users.map(({ email, name }) => [email, name]));
    this.#draw();
  }

  /** Look for new messages, now and from now on. */
  async refresh() {
    clearTimeout(this.#timer);
    const since = this.#messages[0]?.seq ?? 0;
    /** @type {{messages: Message[]}} */
    const { messages } = await get(`demo/mail?since=${since}`).catch(() => ({ messages: [] })); // tried again soon
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), EVERY_MS);
    const fresh = messages.filter(({ seq }) => seq > (this.#messages[0]?.seq ?? 0));
    const restarted = messages.length > 0 && messages[0].seq <= since && fresh.length === 0;
    if (messages.length === 0 || (!restarted && fresh.length === 0)) return;
    this.#messages = (restarted ? messages.reverse() : [...fresh.reverse(), ...this.#messages]).slice(0, MOST);
    this.#shown = this.#messages[0];
    this.#draw();
  }

  #draw() {
    if (this.#shown === null) {
      const empty = make('div', 'none');
      empty.append(make('strong', '', 'No e-mail yet'), make('p', '', 'Take somebody offline, publish, and wait for the seconds to pass.'));
      this.#place.replaceChildren(empty);
      return;
    }
    const list = make('ul', 'list');
    list.append(...this.#messages.map((message) => this.#entry(message)));
    this.#place.replaceChildren(list, this.#reading(this.#shown));
  }

  /** @param {Message} message */
  #entry(message) {
    const entry = make('li', '');
    const button = make('button', '');
    button.setAttribute('type', 'button');
    button.setAttribute('aria-pressed', String(message === this.#shown));
    button.append(
      make('span', 'to', this.#names.get(message.to) ?? message.to),
      make('time', '', new Date(message.sent_at).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })),
      make('span', 'subject', message.subject),
    );
    button.addEventListener('click', () => {
      this.#shown = message;
      this.#draw();
    });
    entry.append(button);
    return entry;
  }

  /** @param {Message} message */
  #reading(message) {
    const article = make('article', 'letter');
    const head = make('header', '');
    const words = make('div', '');
    words.append(make('h3', '', message.subject), make('p', 'hush', `To ${message.to}`));
    head.append(words);
    article.append(head);
    if (message.html !== null) {
      const toggle = make('button', 'quiet', this.#asText ? 'Show rendered' : 'Show as text');
      toggle.setAttribute('type', 'button');
      toggle.addEventListener('click', () => {
        this.#asText = !this.#asText;
        this.#draw();
      });
      head.append(toggle);
    }
    if (message.html === null || this.#asText) {
      article.append(make('pre', '', message.text));
    } else {
      const frame = document.createElement('iframe');
      frame.setAttribute('sandbox', ''); // no scripts, no origin, no links
      frame.title = `E-mail: ${message.subject}`;
      frame.srcdoc = message.html;
      article.append(frame);
    }
    return article;
  }
}
