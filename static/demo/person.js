/** One user's window: a bell with a client of its own, and the switches that take the user away. */

import { BellwireClient } from '../client.js';
import { HUB, tokenOf } from './session.js';

const TOAST_MS = 3_500;
const TRANSPORTS = /** @type {Record<string, string>} */ ({
  websocket: 'WebSocket',
  sse: 'server-sent events',
  poll: 'long polling',
});

/**
 * @param {import('./session.js').DemoUser} user
 * @param {HTMLTemplateElement} template
 * @returns {{element: HTMLElement, client: BellwireClient}}
 */
export function createPerson({ user, name, email }, template) {
  const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
  const element = /** @type {HTMLElement} */ (copy.firstElementChild);
  const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (element.querySelector(selector));
  const client = new BellwireClient({ url: HUB, token: () => tokenOf(user) });
  const bell = /** @type {import('../notification-bell.js').NotificationBell} */ (part('notification-bell'));
  let away = false;

  element.dataset.user = user;
  element.setAttribute('aria-label', name);
  part('h2').textContent = name;
  part('.who p').textContent = email;
  part('.face').textContent = name[0];
  bell.setAttribute('label', `${name.split(' ')[0]}’s notifications`);

  const attend = () => client.setAttention(away || document.hidden ? 'away' : 'active');
  const show = () => {
    element.dataset.status = client.status;
    element.dataset.away = String(away);
    part('.link .words').textContent = describe(client);
    part('.veil').textContent = client.status === 'stopped' ? 'Offline' : away ? 'Tab in background' : '';
  };
  element.querySelectorAll('fieldset').forEach((set, index) => {
    for (const input of set.querySelectorAll('input')) input.name = `${user}-${index}`;
    set.addEventListener('change', (event) => {
      const { value } = /** @type {HTMLInputElement} */ (event.target);
      if (value === 'online') client.start();
      if (value === 'offline') client.stop();
      if (value === 'active' || value === 'away') away = value === 'away';
      attend();
      show();
    });
  });
  document.addEventListener('visibilitychange', attend);
  client.addEventListener('status', show);
  bell.addEventListener('notification-open', (event) => {
    const url = /** @type {CustomEvent} */ (event).detail.item.action_url;
    if (!url?.startsWith('/')) return;
    event.preventDefault(); // there is no shop behind this page
    toast(part('.toast'), `Your app opens ${url}`);
  });

  bell.client = client;
  attend();
  show();
  client.start();
  return { element, client };
}

/** @param {BellwireClient} client */
function describe(client) {
  switch (client.status) {
    case 'online':
      return `Live over ${TRANSPORTS[client.transport]}`;
    case 'stopped':
      return 'Not connected';
    case 'refused':
      return 'Refused: reload the page';
    default:
      return 'Connecting …';
  }
}

/** @type {WeakMap<HTMLElement, ReturnType<typeof setTimeout>>} */
const toasts = new WeakMap();

/** @param {HTMLElement} element @param {string} text */
function toast(element, text) {
  clearTimeout(toasts.get(element));
  element.textContent = text;
  element.hidden = false;
  toasts.set(element, setTimeout(() => (element.hidden = true), TOAST_MS));
}
