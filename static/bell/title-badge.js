/** The number of unread notifications in front of the page's title. */

const NUMBER = /^\(\d+\+?\) /;
const MOST = 99;

/** @type {import('./extras.js').Attach} */
export function attach({ client, signal }) {
  const show = () => {
    const { unread } = client.counts;
    const rest = document.title.replace(NUMBER, '');
    const title = unread === 0 ? rest : `(${unread > MOST ? `${MOST}+` : unread}) ${rest}`;
    if (title !== document.title) document.title = title;
  };
  const observer = new MutationObserver(show); // the page changes its title, too
  observer.observe(document.head, { subtree: true, childList: true, characterData: true });
  client.addEventListener('change', show, { signal });
  signal.addEventListener('abort', () => {
    observer.disconnect();
    document.title = document.title.replace(NUMBER, '');
  });
  show();
}
