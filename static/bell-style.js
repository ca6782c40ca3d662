/** How the bell looks. Everything a page may want to change is a custom property `--bell-…`. */

const css = `
:host {
  color-scheme: light dark;
  --_accent: var(--bell-accent, light-dark(#4f46e5, #8f8bff));
  --_surface: var(--bell-surface, light-dark(#ffffff, #1c1e26));
  --_hover: var(--bell-hover, light-dark(#f4f4f8, #262933));
  --_fresh: var(--bell-fresh, light-dark(#f6f5ff, #232338));
  --_text: var(--bell-text, light-dark(#1a1c23, #f0f1f5));
  --_muted: var(--bell-muted, light-dark(#646978, #a2a7b6));
  --_border: var(--bell-border, light-dark(#e5e6ec, #343845));
  --_badge: var(--bell-badge, light-dark(#d6293e, #ff5d6c));
  --_badge-text: var(--bell-badge-text, light-dark(#ffffff, #1c0508));
  --_shadow: var(--bell-shadow, 0 1px 2px rgb(15 17 30 / .08), 0 12px 40px rgb(15 17 30 / .18));
  display: inline-block;
  font: 14px/1.45 var(--bell-font, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif);
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.aside, .unread {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}

.bell {
  position: relative; display: grid; place-items: center;
  width: var(--bell-size, 40px); height: var(--bell-size, 40px);
  border-radius: 50%; color: var(--bell-icon, var(--_text)); transition: background-color .15s;
}
.bell:hover, .bell[aria-expanded=true] { background: var(--_hover); }
.bell svg { width: 55%; height: 55%; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; transform-origin: 50% 10%; }
.bell .clapper { transform-origin: 50% 40%; }
.badge {
  position: absolute; top: 1px; inset-inline-end: 1px; min-width: 18px; height: 18px; padding: 0 5px;
  border-radius: 9px; background: var(--_badge); color: var(--_badge-text);
  font-size: 11px; font-weight: 700; line-height: 18px; text-align: center; font-variant-numeric: tabular-nums;
  box-shadow: 0 0 0 2px var(--bell-ring, var(--_surface));
}

.panel {
  position: fixed; inset: auto; margin: 0; padding: 0; width: min(var(--bell-width, 384px), calc(100vw - 16px));
  flex-direction: column; overflow: hidden;
  background: var(--_surface); color: var(--_text);
  border: 1px solid var(--_border); border-radius: var(--bell-radius, 14px); box-shadow: var(--_shadow);
}
.panel:popover-open { display: flex; }
.panel:focus { outline: none; }
header { display: flex; align-items: center; justify-content: space-between; gap: 12px; padding: 14px 16px 12px; border-bottom: 1px solid var(--_border); }
h2 { margin: 0; font-size: 15px; font-weight: 650; letter-spacing: -.005em; }
.all { padding: 3px 8px; margin: -3px -8px; border-radius: 7px; color: var(--_accent); font-size: 13px; font-weight: 550; }
.all:hover { background: var(--_hover); }
.all:disabled { color: var(--_muted); opacity: .6; cursor: default; background: none; }
.offline {
  display: flex; align-items: center; gap: 8px; margin: 0; padding: 8px 16px; font-size: 13px;
  color: var(--_muted); background: var(--_hover); border-bottom: 1px solid var(--_border);
}
.offline::before { content: ""; flex: none; width: 7px; height: 7px; border-radius: 50%; border: 2px solid currentColor; }
.scroll { flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
ul { list-style: none; margin: 0; padding: 6px; }
li { position: relative; border-radius: 10px; }
li + li { margin-top: 2px; }
li.is-unread { background: var(--_fresh); }
li:hover, li:focus-within { background: var(--_hover); }
.main {
  display: grid; grid-template-columns: 36px minmax(0, 1fr) 8px; gap: 12px; align-items: start;
  padding: 10px 12px; border-radius: inherit; color: inherit; text-decoration: none; cursor: pointer;
}
.main:focus-visible { outline-offset: -2px; }
.avatar {
  --_tone: 265; display: grid; place-items: center; width: 36px; height: 36px; border-radius: 50%;
  font-size: 13px; font-weight: 650; letter-spacing: .01em;
  background: light-dark(oklch(.93 .045 var(--_tone)), oklch(.36 .07 var(--_tone)));
  color: light-dark(oklch(.42 .13 var(--_tone)), oklch(.9 .06 var(--_tone)));
}
.avatar[data-tone="1"] { --_tone: 20; }
.avatar[data-tone="2"] { --_tone: 65; }
.avatar[data-tone="3"] { --_tone: 155; }
.avatar[data-tone="4"] { --_tone: 220; }
.avatar[data-tone="5"] { --_tone: 325; }
.words { display: grid; gap: 1px; min-width: 0; }
.title { font-weight: 450; overflow-wrap: anywhere; }
.is-unread .title { font-weight: 650; }
.title, .body { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.body { color: var(--_muted); overflow-wrap: anywhere; -webkit-line-clamp: 3; }
.body:empty { display: none; }
.meta { margin-top: 2px; color: var(--_muted); font-size: 12px; }
.dot { width: 8px; height: 8px; margin-top: 6px; border-radius: 50%; background: var(--_accent); opacity: 0; transition: opacity .2s; }
.is-unread .dot { opacity: 1; }
.archive {
  position: absolute; inset-block-end: 8px; inset-inline-end: 8px; display: grid; place-items: center;
  width: 24px; height: 24px; border-radius: 7px; color: var(--_muted); opacity: 0; transition: opacity .12s;
}
li:hover .archive, li:focus-within .archive { opacity: 1; }
.archive:hover { background: var(--_border); color: var(--_text); }
.archive svg { width: 16px; height: 16px; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; }
@media (hover: none) { .archive { opacity: .75; } }

.more { display: block; width: calc(100% - 12px); margin: 0 6px 6px; padding: 9px; border-radius: 10px; color: var(--_accent); font-size: 13px; font-weight: 550; }
.more:hover { background: var(--_hover); }
.empty { display: grid; justify-items: center; gap: 4px; padding: 44px 24px 52px; color: var(--_muted); text-align: center; }
.empty svg { width: 44px; height: 44px; margin-bottom: 10px; fill: none; stroke: currentColor; stroke-width: 1.2; stroke-linecap: round; stroke-linejoin: round; opacity: .55; }
.empty strong { color: var(--_text); font-weight: 600; }
.loading { display: grid; gap: 18px; padding: 18px; }
.loading span { height: 36px; border-radius: 10px; background: var(--_hover); }

@media (prefers-reduced-motion: no-preference) {
  .is-ringing svg { animation: ring .9s cubic-bezier(.36, .07, .19, .97); }
  .is-ringing .clapper { animation: clap .9s cubic-bezier(.36, .07, .19, .97); }
  .is-ringing .badge { animation: pop .35s cubic-bezier(.3, 1.6, .5, 1); }
  .panel:popover-open { animation: open .14s ease-out; }
  .loading span { animation: breathe 1.4s ease-in-out infinite alternate; }
}
@keyframes ring { 0%, 100% { rotate: 0deg; } 15% { rotate: 13deg; } 35% { rotate: -11deg; } 55% { rotate: 7deg; } 75% { rotate: -4deg; } }
@keyframes clap { 0%, 100% { translate: 0; } 20% { translate: -1.5px; } 40% { translate: 1.5px; } 60% { translate: -1px; } }
@keyframes pop { 0% { scale: .5; } 100% { scale: 1; } }
@keyframes open { from { opacity: 0; translate: 0 -4px; } }
@keyframes breathe { to { opacity: .45; } }
@media (forced-colors: active) {
  .dot, .badge { forced-color-adjust: none; }
}
`;

export const bellStyle = new CSSStyleSheet();
bellStyle.replaceSync(css);
