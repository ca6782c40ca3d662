import { createApp, h, onMounted, onUnmounted } from 'vue';
import { BellwireClient } from '@bellwire/client';
import '@bellwire/client/define';

/** In a template: `<notification-bell :client="client" tabs="all, unread" @notification-open="open" />`. */
const Bell = {
  setup() {
    const token = () => fetch('token.txt').then((answer) => answer.text());
    const client = new BellwireClient({ url: location.search.slice(1), token });
    onMounted(() => client.start());
    onUnmounted(() => client.stop());
    const open = (event) => {
      event.preventDefault(); // the app's own router goes there
      document.title = event.detail.item.action_url;
    };
    return () => h('notification-bell', { client, tabs: 'all, unread', onNotificationOpen: open });
  },
};

createApp(Bell).mount(document.body.appendChild(document.createElement('div')));
