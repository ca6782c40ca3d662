/** The number of unread notifications on the icon of an installed web app. */

/** @type {import('./extras.js').Attach} */
export function attach({ client, signal }) {
  if (!('setAppBadge' in navigator)) return;
  let shown = -1;
  const show = () => {
    const { unread } = client.counts;
    if (unread === shown) return;
    shown = unread;
    navigator.setAppBadge(unread).catch(() => {}); // 0 takes it away; a page that isn't installed may be refused
  };
  client.addEventListener('change', show, { signal });
  signal.addEventListener('abort', () => navigator.clearAppBadge().catch(() => {}));
  show();
}
