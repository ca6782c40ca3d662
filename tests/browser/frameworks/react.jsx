import { useEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import { BellwireClient } from '@bellwire/client';
import '@bellwire/client/define';

/** React 19 sets properties of custom elements (`client`) and listens to their events (`onnotification-open`). */
function Bell({ url, token, onOpen }) {
  const client = useRef(null);
  client.current ??= new BellwireClient({ url, token });
  useEffect(() => {
    const { current } = client;
    current.start();
    return () => current.stop();
  }, []);
  return <notification-bell client={client.current} tabs="all, unread" onnotification-open={onOpen} />;
}

const open = (event) => {
  event.preventDefault(); // the app's own router goes there
  document.title = event.detail.item.action_url;
};
createRoot(document.body.appendChild(document.createElement('div'))).render(
  <Bell url={location.search.slice(1)} token={() => fetch('token.txt').then((answer) => answer.text())} onOpen={open} />,
);
