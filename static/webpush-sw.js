/**
 * Shows what is pushed while no page is open, and on a click brings the page to the front.
 *
 * A service worker has to come from the page's own origin: copy this file there, or import it into your own worker
 * (`importScripts('/webpush-sw.js')`). What is pushed is JSON: `id`, `title`, and perhaps `body`, `action_url`, `icon`.
 */

const OPENED = 'bellwire-opened'; // as in bell/push.js

self.addEventListener('push', (event) => event.waitUntil(show(event.data)));
self.addEventListener('notificationclick', (event) => event.waitUntil(open(event.notification)));

/** @param {PushMessageData|null} data */
async function show(data) {
  const { id, title, body, action_url, icon } = read(data);
  await self.registration.showNotification(text(title, 200) || 'Notification', {
    body: text(body, 1_000),
    tag: text(id, 100) || undefined, // the same one again takes the other's place
    icon: safeUrl(icon) ?? undefined,
    data: { id: text(id, 100), url: safeUrl(action_url) },
  });
}

/** @param {Notification} notification */
async function open(notification) {
  const { id, url } = notification.data ?? {};
  notification.close();
  if (id) await leaveWord(id);
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  for (const page of pages) page.postMessage({ type: OPENED });
  const own = url === null || new URL(url).origin === self.location.origin;
  const there = pages.find((page) => page.url === url) ?? (own ? pages[0] : undefined);
  try {
    if (there === undefined) return await self.clients.openWindow(url ?? '/');
    const page = await there.focus();
    if (url !== null && page.url !== url) await page.navigate(url);
  } catch {
    // The browser allows this only right after a real click, and only for pages that this worker controls.
    if (url !== null) await self.clients.openWindow(url).catch(() => null);
  }
}

/** A page marks it read: this worker has no token. It may be the next page, after this worker has ended. @param {string} id */
async function leaveWord(id) {
  const opened = await caches.open(OPENED);
  await opened.put(`/.bellwire-opened?${new URLSearchParams({ id })}`, new Response());
}

/** @param {PushMessageData|null} data @returns {Record<string, unknown>} */
function read(data) {
  try {
    return data?.json() ?? {};
  } catch {
    return {};
  }
}

/** @param {unknown} value @param {number} most characters */
function text(value, most) {
  return typeof value === 'string' ? value.slice(0, most) : '';
}

/** As safe-url.js, which a classic worker can't import: http(s) or a path. @param {unknown} value @returns {string|null} */
function safeUrl(value) {
  if (typeof value !== 'string' || /[\u0000-\u0020\u007f-\u009f\\\u2028\u2029]/.test(value)) return null;
  if (!/^\/(?!\/)/.test(value) && !/^https?:\/\/[^/?#@]+([/?#]|$)/i.test(value)) return null;
  try {
    return new URL(value, self.location.origin).href;
  } catch {
    return null;
  }
}
