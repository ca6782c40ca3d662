/**
 * Web push: asking for it in the settings, telling the hub of the browser, and marking read what was clicked in the
 * system's own notifications (`webpush-sw.js` leaves word of it).
 */

import { h } from './dom.js';
import { addEnglish } from './messages.js';
import { known } from './preferences.js';
import { addSection, buildSwitch } from './settings.js';

const OPENED = 'bellwire-opened'; // as in webpush-sw.js

addEnglish({
  pushTitle: 'Notifications of this browser',
  pushText: 'Shown also while this page is closed.',
  pushDenied: 'Blocked. Allow notifications for this site in the browser’s settings.',
  pushFailed: 'That did not work. Please try again later.',
});

/** @type {import('./extras.js').Attach} */
export async function attach({ bell, client, value, signal }) {
  const key = bell.getAttribute('push-key');
  if (key === null || !('PushManager' in window) || !('serviceWorker' in navigator)) return;
  const workers = navigator.serviceWorker;
  const registration = await (value === '' ? workers.ready : workers.register(value));
  const collect = () => markOpened(client);
  workers.addEventListener('message', (event) => event.data?.type === OPENED && collect(), { signal });
  client.addEventListener('status', () => client.status === 'online' && collect(), { signal });
  if (client.status === 'online') collect();

  const { words } = bell;
  const current = await registration.pushManager.getSubscription();
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true });
  const { input, label } = buildSwitch(words.say('pushTitle'), current !== null, async () => {
    input.disabled = true;
    problem.hidden = true;
    const refusal = input.checked ? await turnOn(registration, key) : await turnOff(registration);
    input.disabled = false;
    if (refusal === null) return;
    input.checked = !input.checked;
    problem.textContent = words.say(refusal);
    problem.hidden = false;
  });
  if (!signal.aborted) addSection(bell, signal, label, h('p', {}, words.say('pushText')), problem);

  /** @param {ServiceWorkerRegistration} worker @param {string} applicationServerKey @returns {Promise<'pushDenied'|'pushFailed'|null>} */
  async function turnOn(worker, applicationServerKey) {
    if ((await Notification.requestPermission()) !== 'granted') return 'pushDenied';
    try {
      const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
      if (await register(subscription)) return null;
      await subscription.unsubscribe();
    } catch {
      // no push service, or no connection
    }
    return 'pushFailed';
  }

  /** @param {PushSubscription} subscription @returns {Promise<boolean>} whether somebody has taken it */
  async function register(subscription) {
    const told = new CustomEvent('push-subscription', { bubbles: true, composed: true, cancelable: true, detail: { subscription } });
    if (!bell.dispatchEvent(told)) return true;
    const body = { kind: 'webpush', token: JSON.stringify(subscription) };
    const answer = await client.request(await devices(), { body });
    return answer.ok;
  }

  /** @param {ServiceWorkerRegistration} worker @returns {Promise<'pushFailed'|null>} */
  async function turnOff(worker) {
    try {
      // The hub forgets the endpoint as soon as the push service says that it is gone.
      await (await worker.pushManager.getSubscription())?.unsubscribe();
      return null;
    } catch {
      return 'pushFailed';
    }
  }

  async function devices() {
    return `/v1/users/${encodeURIComponent(await known(client, signal))}/devices`;
  }
}

/** Mark read what was opened from the system's notifications, perhaps before there was a page. @param {import('./extras.js').BellwireClient} client */
async function markOpened(client) {
  const opened = await caches.open(OPENED);
  const requests = await opened.keys();
  const ids = requests.map(({ url }) => new URL(url).searchParams.get('id') ?? '').filter((id) => id !== '');
  if (ids.length === 0) return;
  const answer = await client.request('/v1/inbox/read', { body: { ids } });
  if (answer.ok || answer.status === 422) for (const request of requests) await opened.delete(request);
}
