import { BellwireClient } from '@bellwire/client';
import '@bellwire/client/define';

const token = () => fetch('token.txt').then((answer) => answer.text());
const client = new BellwireClient({ url: location.search.slice(1), token });
const bell = document.createElement('notification-bell');
bell.setAttribute('tabs', 'all, unread');
bell.client = client;
bell.addEventListener('notification-open', (event) => {
  event.preventDefault(); // the app's own router goes there
  document.title = event.detail.item.action_url;
});
document.body.append(bell);
client.start();
