/** How a notification looks, in the list and in a toast. */

import { styleSheet } from './style.js';

export const rowStyle = styleSheet(`
.day { padding: 14px 18px 4px; color: var(--_muted); font-size: 12px; font-weight: 600; }
.card { position: relative; display: grid; grid-template-columns: 36px minmax(0, 1fr) 8px; gap: 0 12px; margin: 2px 6px; padding: 10px 12px 6px; border-radius: 10px; }
.is-unread .card { background: var(--bell-fresh, none); }
.card:hover, .card:focus-within { background: var(--_hover); }
.avatar {
  --_hue: calc(var(--_tone, 0) * 60 + 25); position: relative; display: grid; place-items: center; width: 36px; height: 36px; overflow: hidden;
  border-radius: var(--bell-avatar-radius, 50%); font-size: 13px; font-weight: 650;
  background: light-dark(oklch(.93 .045 var(--_hue)), oklch(.36 .07 var(--_hue))); color: light-dark(oklch(.42 .13 var(--_hue)), oklch(.9 .06 var(--_hue)));
}
.avatar img { position: absolute; width: 100%; height: 100%; object-fit: cover; background: var(--_hover); }
.main { color: inherit; text-decoration: none; cursor: pointer; }
.main::after { content: ""; position: absolute; inset: 0; border-radius: 10px; }
.main:focus-visible { outline: none; }
.main:focus-visible::after { outline: 2px solid var(--_accent); outline-offset: -2px; }
.title, .body { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; text-align: match-parent; }
.title { font-weight: 500; }
.is-unread .title { font-weight: 650; }
.body { color: var(--_muted); }
.dot { width: 8px; height: 8px; margin-top: 6px; border-radius: 50%; }
.is-unread .dot { background: var(--_accent); }
.foot { display: flex; align-items: center; justify-content: space-between; min-height: 28px; margin-inline-end: -20px; color: var(--_muted); font-size: 12px; }
.tools { position: relative; z-index: 1; display: flex; gap: 2px; opacity: 0; }
.card:hover .tools, .card:focus-within .tools { opacity: 1; }
.is-unread .toggle path + path, li:not(.is-unread) .toggle path:first-child { display: none; }
.is-own .avatar { display: none; }
::slotted([slot^=item-]) { position: relative; z-index: 1; }
.is-own .words { grid-column: 1 / 3; }
@media (hover: none) {
  .tools { opacity: 1; }
  .tools .icon { width: 36px; }
}
@media (forced-colors: active) {
  .is-unread .dot { forced-color-adjust: none; background: Highlight; }
  .card:hover { outline: 1px solid Highlight; }
}
`);
