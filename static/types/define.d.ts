export { NotificationBell };
import { NotificationBell } from './notification-bell.js';
