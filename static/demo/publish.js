/** The form that publishes, and the same as a call that can be copied. */

import { HUB, post } from './session.js';

const SHORT_LIST = /\[\n(\s+"[^\n]*\n)+\s+\]/g; // of strings: line breaks inside strings are escaped

const PRESETS = [
  {
    name: 'Order shipped',
    title: 'Your order is on its way',
    body: 'Parcel #1042 arrives tomorrow between 9 and 12.',
    more: { category: 'order.shipped', action_url: '/orders/1042', actor: { name: 'Parcel Desk' } },
  },
  {
    name: 'New comment',
    title: 'Alan commented on “Launch plan”',
    body: '“Love the second draft. Shall we ship it on Friday?”',
    more: { category: 'comment.created', action_url: '/plans/launch#c7', actor: { name: 'Alan Turing' } },
  },
  {
    name: 'Login code',
    title: 'Your login code is 482 913',
    body: 'Good for ten minutes. We never ask you for it.',
    after: '3',
    more: { category: 'auth.code', priority: 'critical', actor: { name: 'Security' } },
  },
];

/**
 * @param {HTMLElement} card
 * @param {(published: {id: string}) => void} onPublished
 */
export function setUpPublish(card, onPublished) {
  const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (card.querySelector(selector));
  const form = /** @type {HTMLFormElement} */ (part('form'));
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  let more = /** @type {object} */ ({});

  const request = () => ({
    recipients: field('to').value.split(' '),
    title: field('title').value,
    ...(field('body').value === '' ? {} : { body: field('body').value }),
    ...more,
    ...(field('fallback').checked
      ? { fallback: [{ channel: 'email', after: Number(field('after').value), unless: field('unless').value || null }] }
      : {}),
  });
  const showCall = () => {
    const shape = /** @type {HTMLInputElement} */ (card.querySelector('[name=form]:checked')).value;
    const body = JSON.stringify(request(), null, 2).replace(SHORT_LIST, (list) => list.replace(/\n\s*/g, ' '));
    part('#call').textContent = shape === 'json' ? body : curl(body);
  };
  const use = (/** @type {typeof PRESETS[number]} */ preset) => {
    field('title').value = preset.title;
    field('body').value = preset.body;
    field('after').value = preset.after ?? '8';
    more = preset.more;
    for (const chip of part('.chips').children) chip.setAttribute('aria-pressed', String(chip.textContent === preset.name));
    showCall();
  };

  part('.chips').append(
    ...PRESETS.map((preset) => {
      const chip = document.createElement('button');
      chip.type = 'button';
      chip.textContent = preset.name;
      chip.addEventListener('click', () => use(preset));
      return chip;
    }),
  );
  use(PRESETS[0]);
  card.addEventListener('input', () => {
    form.classList.toggle('no-fallback', !field('fallback').checked);
    showCall();
  });
  part('#copy').addEventListener('click', async () => {
    await navigator.clipboard.writeText(part('#call').textContent ?? '');
    part('#copy').textContent = 'Copied';
    setTimeout(() => (part('#copy').textContent = 'Copy'), 1_500);
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const [button, problem] = [/** @type {HTMLButtonElement} */ (part('.primary')), part('.problem')];
    button.disabled = true;
    problem.hidden = true;
    try {
      onPublished(await post('demo/notifications', request()));
    } catch (error) {
      problem.textContent = error instanceof TypeError ? 'The server is out of reach.' : /** @type {Error} */ (error).message;
      problem.hidden = false;
    }
    button.disabled = false;
  });
}

/** @param {string} body @returns {string} a command for a POSIX shell */
function curl(body) {
  return [
    `curl ${HUB}v1/notifications \\`,
    '  -H "Authorization: Bearer $BELLWIRE_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '${body.replaceAll("'", "'\\''")}'`,
  ].join('\n');
}
