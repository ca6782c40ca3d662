/** The bell's playground: options become attributes, custom properties, and code to copy. */

import './define.js';
import { SampleClient, sampleItem, sampleItems } from './demo/sample-client.js';

const HOSTILE = [
  { title: '<img src=x onerror=alert(1)><script>alert(2)</script>', body: '<b>not bold</b>', action_url: 'javascript:alert(3)' },
  { title: 'W'.repeat(10_000), body: 'M'.repeat(10_000), actor: { name: '' } },
  { title: '\u202Ethis is written backwards', body: 'and \u2067this is isolated\u2069 here', actor: { name: '\u202Egro.elpmaxe' } },
  { title: '👩‍👩‍👧‍👦🏴‍☠️'.repeat(40), body: 'Z̸̧̢̛̺a̷̡̨̛l̶͎̈́g̸̢̛o̵̡̓'.repeat(20), actor: { name: '🦄 Unicorn' } },
  { title: ' ', data: { actions: [{ label: '<i>x</i>', url: 'data:text/html,x' }, { label: 7 }, null, { label: 'Y'.repeat(500) }] } },
];
const ARRIVALS = [
  { title: 'Ada Lovelace mentioned you', body: '“Ask them about the analytical engine.”', actor: { name: 'Ada Lovelace' }, action_url: '/mentions/3' },
  { title: 'Payment received', body: '42.00 € from Example Ltd.', actor: { name: 'Accounts' }, category: 'order' },
];
/** @type {Record<string, () => object>} */
const STATES = {
  some: () => ({ status: 'online', loaded: true, items: sampleItems() }),
  many: () => ({ status: 'online', loaded: true, items: sampleItems(10_000) }),
  hostile: () => ({ status: 'online', loaded: true, items: HOSTILE.map((one, index) => sampleItem(one, Date.now() - index)) }),
  empty: () => ({ status: 'online', loaded: true, items: [] }),
  loading: () => ({ status: 'connecting', loaded: false, items: [] }),
  error: () => ({ status: 'waiting', loaded: false, items: [] }),
  offline: () => ({ status: 'waiting', loaded: true, items: sampleItems() }),
  refused: () => ({ status: 'refused', loaded: true, items: sampleItems() }),
};
const PREFERENCES = [
  { category: 'review', label: 'Reviews', channels: { in_app: true, push: true, email: false }, locked: ['in_app'] },
  { category: 'order', label: 'Orders', channels: { in_app: true, email: true } },
];

const place = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
const bell = /** @type {import('./notification-bell.js').NotificationBell} */ (place('bell'));
const form = /** @type {HTMLFormElement} */ (place('options'));
const client = new SampleClient();
client.answer = () => new Response(JSON.stringify({ data: PREFERENCES }));
bell.client = /** @type {any} */ (client);
let arrived = 0;

/** The fields that differ from what the bell does anyway. @returns {{attributes: [string, string][], properties: [string, string][]}} */
function chosen() {
  const attributes = /** @type {[string, string][]} */ ([]);
  const properties = /** @type {[string, string][]} */ ([]);
  for (const field of /** @type {any[]} */ ([...form.elements])) {
    if (!field.name || field.name === 'state') continue;
    if (field.type === 'checkbox') {
      if (field.checked) attributes.push([field.name, '']);
    } else if (field.name.startsWith('--')) {
      if (field.value !== (field.defaultValue ?? '')) properties.push([field.name, field.value + (field.dataset.unit ?? '')]);
    } else if (field.value !== '' && (field.name !== 'lang' || field.value !== 'en')) {
      attributes.push([field.name, field.value]);
    }
  }
  return { attributes, properties };
}

function apply() {
  const { attributes, properties } = chosen();
  for (const field of /** @type {any[]} */ ([...form.elements])) {
    if (!field.name || field.name === 'state') continue;
    if (field.name.startsWith('--')) bell.style.removeProperty(field.name);
    else if (!attributes.some(([name]) => name === field.name)) bell.removeAttribute(field.name);
  }
  for (const [name, value] of attributes) if (bell.getAttribute(name) !== value) bell.setAttribute(name, value);
  for (const [name, value] of properties) bell.style.setProperty(name, value);
  place('code').textContent = code(attributes, properties);
}

/** @param {[string, string][]} attributes @param {[string, string][]} properties */
function code(attributes, properties) {
  const written = attributes.map(([name, value]) => ` ${name}${value === '' ? '' : `="${value}"`}`).join('');
  const css = properties.map(([name, value]) => `    ${name}: ${value};\n`).join('');
  return `${css === '' ? '' : `<style>\n  notification-bell {\n${css}  }\n</style>\n`}<notification-bell${written}></notification-bell>`;
}

form.addEventListener('input', (event) => {
  const { name, value } = /** @type {HTMLInputElement} */ (event.target);
  if (name === 'state') client.become(STATES[value]());
  else apply();
});
place('deliver').addEventListener('click', () => client.deliver(ARRIVALS[arrived++ % ARRIVALS.length]));
place('copy').addEventListener('click', () => navigator.clipboard.writeText(place('code').textContent ?? ''));
bell.addEventListener('notification-open', (event) => event.preventDefault()); // there is no app behind this page
bell.addEventListener('notification-action', (event) => event.preventDefault());
apply();
