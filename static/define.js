/** Makes `<notification-bell>` known to the page. Import the class itself to give it another name. */
import { NotificationBell } from './notification-bell.js';

if (customElements.get('notification-bell') === undefined) {
  customElements.define('notification-bell', NotificationBell);
}

export { NotificationBell };
