/** What a bell is made of, and the words in it that seldom change. */

import { h, icon, iconButton, nameButton } from './dom.js';

const BELL = 'M6 9.5a6 6 0 0 1 12 0c0 5.2 2 6.9 2 6.9H4s2-1.7 2-6.9M9.9 19.6a2.3 2.3 0 0 0 4.2 0';

/** Build one bell's elements. */
export function buildParts() {
  const badge = h('span', { class: 'badge', part: 'badge', 'aria-hidden': 'true' });
  const bell = h(
    'button',
    { class: 'bell', part: 'button', type: 'button', popovertarget: 'panel', 'aria-haspopup': 'dialog', 'aria-expanded': 'false' },
    h('slot', { name: 'icon' }, icon(BELL)),
    badge,
  );

  const heading = h('h2', { id: 'heading', part: 'heading' });
  const all = h('button', { class: 'all quiet', part: 'mark-all', type: 'button' });
  const close = iconButton('close', 'M6 6l12 12M18 6L6 18');
  close.setAttribute('popovertarget', 'panel');
  const header = h('header', { part: 'header' }, heading, all, h('slot', { name: 'tools' }), close);
  const banner = h('div', { class: 'banner', part: 'banner', hidden: true });

  const list = h('ul', { role: 'list' });
  const more = h('button', { class: 'more quiet', type: 'button', hidden: true });
  const [title, text] = [h('strong'), h('span')];
  const retry = h('button', { class: 'action', part: 'action', type: 'button' });
  const notice = h('div', { class: 'notice', part: 'empty', hidden: true }, h('slot', { name: 'empty' }, icon(BELL), title, text), retry);
  const loading = h('div', { class: 'loading', role: 'img' }, h('i'), h('i'), h('i'));
  const scroll = h('div', { class: 'scroll', id: 'content' }, list, more, notice, loading);
  const panel = h(
    'div',
    { class: 'panel', part: 'panel', id: 'panel', popover: 'auto', role: 'dialog', 'aria-labelledby': 'heading', tabindex: -1 },
    header,
    banner,
    scroll,
    h('slot', { name: 'footer' }),
  );
  const status = h('div', { class: 'aside', role: 'status' });
  return { bell, badge, panel, heading, all, close, banner, scroll, list, more, notice, title, text, retry, loading, status };
}

/**
 * @param {ReturnType<typeof buildParts>} parts @param {import('./messages.js').Words} words
 * @param {import('./inbox-view.js').View} view @param {boolean} failed whether the list could not be loaded
 */
export function speak(parts, words, view, failed) {
  const { all, close, more, title, text, retry, loading } = parts;
  const usual = view.name === 'all' || view.name === 'unread';
  const [first, second] = failed ? ['failedTitle', 'failedText'] : usual ? ['emptyTitle', 'emptyText'] : ['nothing', ''];
  all.textContent = words.say('markAllRead');
  more.textContent = words.say('older');
  retry.textContent = words.say('retry');
  retry.hidden = !failed;
  title.textContent = words.say(first);
  text.textContent = words.say(second);
  nameButton(close, words.say('close'));
  loading.setAttribute('aria-label', words.say('loading'));
}
