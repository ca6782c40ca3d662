/**
 * The user's choice of channels, where the hub offers one: without such a route, or with an answer of another shape,
 * there is nothing to see.
 *
 * @typedef {object} Preference
 * @property {string} category
 * @property {string} [label]
 * @property {Record<string, boolean>} channels
 * @property {string[]} [locked] channels that the user can't change
 */

import { h } from './dom.js';
import { addEnglish } from './messages.js';
import { addSection, buildSwitch } from './settings.js';

const CHANNELS = /** @type {const} */ (['in_app', 'push', 'webpush', 'email', 'sms', 'chat']);

addEnglish({
  channels: 'How you are told',
  in_app: 'Here',
  email: 'E-mail',
  push: 'Push',
  webpush: 'Browser',
  sms: 'SMS',
  chat: 'Chat',
  notSaved: 'Not saved. Please try again.',
});

/** @type {import('./extras.js').Attach} */
export async function attach({ bell, client, signal }) {
  const user = await known(client, signal);
  const path = `/v1/users/${encodeURIComponent(user)}/preferences`;
  const answer = await client.request(path);
  if (!answer.ok || signal.aborted) return;
  const preferences = readPreferences(await answer.json());
  if (preferences.length === 0) return;
  const { words } = bell;
  const problem = h('p', { class: 'problem', role: 'alert', hidden: true }, words.say('notSaved'));

  /** @param {Preference} preference @param {string} channel @param {HTMLInputElement} input */
  const save = async ({ category }, channel, input) => {
    const body = { data: [{ category, channels: { [channel]: input.checked } }] };
    const saved = await client.request(path, { method: 'PATCH', body }).then(
      ({ ok }) => ok,
      () => false,
    );
    problem.hidden = saved;
    if (!saved) input.checked = !input.checked;
  };
  const groups = preferences.map((preference) => {
    const switches = CHANNELS.filter((channel) => typeof preference.channels[channel] === 'boolean').map((channel) => {
      const { input, label } = buildSwitch(words.say(channel), preference.channels[channel], (changed) => save(preference, channel, changed));
      input.disabled = preference.locked?.includes(channel) ?? false;
      return label;
    });
    return h('fieldset', {}, h('legend', { dir: 'auto' }, preference.label ?? preference.category), ...switches);
  });
  addSection(bell, signal, h('h3', {}, words.say('channels')), ...groups, problem);
}

/** @param {any} body @returns {Preference[]} */
function readPreferences(body) {
  const given = Array.isArray(body?.data) ? body.data : [];
  return given.filter(
    (/** @type {any} */ one) => typeof one?.category === 'string' && typeof one.channels === 'object' && one.channels !== null,
  );
}

/**
 * Wait until the hub has said whose inbox it is.
 *
 * @param {import('./extras.js').BellwireClient} client @param {AbortSignal} signal @returns {Promise<string>}
 */
export function known(client, signal) {
  return new Promise((resolve) => {
    const heard = new AbortController();
    const look = () => {
      if (client.user === null) return;
      heard.abort();
      resolve(client.user);
    };
    client.addEventListener('change', look, { signal: AbortSignal.any([signal, heard.signal]) });
    look();
  });
}
