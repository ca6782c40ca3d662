/** How the bell and its empty list look (for rows see `row-style.js`). Everything a page may want to change is a custom property `--bell-…` or a part. */

const css = `
:host {
  --_accent: var(--bell-accent, light-dark(#4f46e5, #9d9aff));
  --_accent-text: var(--bell-accent-text, light-dark(#fff, #14132e));
  --_surface: var(--bell-surface, light-dark(#fff, #1b1d24));
  --_hover: var(--bell-hover, light-dark(#f4f4f8, #262932));
  --_text: var(--bell-text, light-dark(#1a1c23, #f0f1f5));
  --_muted: var(--bell-muted, light-dark(#626775, #a4a9b8));
  --_border: var(--bell-border, light-dark(#e6e7ed, #333743));
  --_shadow: var(--bell-shadow, 0 1px 3px #0f111e14, 0 16px 48px #0f111e2e);
  --_radius: var(--bell-radius, 14px);
  --_width: min(var(--bell-width, 400px), 100vw - 16px);
  display: inline-block;
  font: 14px/1.45 var(--bell-font, system-ui, sans-serif);
}
:host([hidden]), [hidden] { display: none !important; }
:host([theme=light]) { color-scheme: light; }
:host([theme=dark]) { color-scheme: dark; }
:host([theme=auto]) { color-scheme: light dark; }
* { box-sizing: border-box; margin: 0; padding: 0; }
button { border: 0; background: none; color: inherit; font: inherit; cursor: pointer; }
svg { fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.aside { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.bell {
  position: relative; display: grid; place-items: center; width: var(--bell-size, 40px); height: var(--bell-size, 40px);
  border-radius: 50%; color: var(--bell-icon, var(--_text));
}
.bell:hover, .bell[aria-expanded=true] { background: var(--_hover); }
.bell svg { width: 55%; height: 55%; transform-origin: 50% 10%; }
.badge {
  position: absolute; top: -1px; inset-inline-end: -2px; min-width: 18px; padding: 0 5px; border-radius: 9px;
  background: var(--bell-badge, light-dark(#d6293e, #ff5d6c)); color: var(--bell-badge-text, light-dark(#fff, #1c0508));
  font-size: 11px; font-weight: 700; line-height: 18px; text-align: center; outline: 2px solid var(--bell-ring, var(--_surface));
}

.panel {
  position: fixed; inset: var(--_top) var(--_right) var(--_bottom) var(--_left); width: var(--_width);
  min-height: min(260px, var(--_height)); max-height: var(--_height); flex-direction: column; overflow: hidden;
  border: 1px solid var(--_border); border-radius: var(--_radius); background: var(--_surface); color: var(--_text); box-shadow: var(--_shadow);
}
.panel:popover-open { display: flex; }
.panel:focus { outline: none; }
header { display: flex; align-items: center; gap: 4px; min-height: 52px; padding-inline: 18px 12px; border-bottom: 1px solid var(--_border); }
h2 { flex: 1; font-size: 16px; font-weight: 650; }
.quiet { padding: 5px 8px; border-radius: 8px; color: var(--_accent); font-size: 13px; font-weight: 550; }
.quiet:hover:enabled { background: var(--_hover); }
.quiet:disabled { color: var(--_muted); }
.icon { display: grid; place-items: center; width: 28px; height: 28px; border-radius: 8px; color: var(--_muted); }
.icon:hover { background: var(--_border); color: var(--_text); }
.icon svg { width: 17px; height: 17px; }
.close { display: none; }
.banner { padding: 8px 18px; background: var(--_hover); color: var(--_muted); font-size: 13px; }
.scroll { display: flex; flex-direction: column; flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
.scroll > * { flex: none; }
ul { list-style: none; }

.more { margin: 6px; }
.notice { display: grid; justify-items: center; align-content: center; gap: 4px; flex: 1; padding: 40px 32px; color: var(--_muted); text-align: center; text-wrap: balance; }
.notice svg { width: 40px; height: 40px; margin-bottom: 8px; stroke-width: 1.2; }
.notice strong { color: var(--_text); }
.action { padding: 5px 12px; border: 1px solid var(--_border); border-radius: 8px; color: var(--_text); font-size: 13px; font-weight: 550; text-decoration: none; white-space: nowrap; cursor: pointer; }
.notice .action { margin-top: 12px; }
.loading i {
  display: block; height: 36px; margin: 20px 18px;
  background:
    radial-gradient(circle at 18px, var(--_hover) 18px, #0000 0),
    linear-gradient(var(--_hover) 0 0) 48px 4px / 70% 10px no-repeat,
    linear-gradient(var(--_hover) 0 0) 48px 22px / 45% 10px no-repeat;
}
.loading:dir(rtl) { scale: -1 1; }

@media (max-width: 480px) {
  .panel { inset: 0; width: 100%; height: 100dvh; max-height: none; border: 0; border-radius: 0; padding: env(safe-area-inset-top) 0 env(safe-area-inset-bottom); }
  .close { display: grid; }
}
@media (prefers-reduced-motion: no-preference) {
  .is-ringing svg { animation: ring .8s; }
  .panel:popover-open { animation: open .14s ease-out; }
}
@keyframes ring { 20% { rotate: 13deg; } 50% { rotate: -10deg; } 80% { rotate: 5deg; } }
@keyframes open { from { opacity: 0; translate: 0 -4px; } }
@media (forced-colors: active) {
  .badge { forced-color-adjust: none; background: Highlight; color: HighlightText; }
}
`;

/** @param {string} text */
export function styleSheet(text) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return sheet;
}

export const bellStyle = styleSheet(css);

/** Have a shadow root use one more. @param {ShadowRoot} root @param {CSSStyleSheet} sheet */
export function adopt(root, sheet) {
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}
