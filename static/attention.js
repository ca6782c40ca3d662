/**
 * Whether somebody looks at this page: it is visible, and there has been a sign of life within the last minutes. The
 * server takes "nobody looks" as a reason to try other channels, so leaving has to last before it is told; coming back
 * is told at once.
 */

import { callAt } from './wall-clock.js';

const IDLE_MS = 180_000; // without a sign of life
const LEAVING_MS = 1_000; // out of sight, before it counts
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'scroll', 'focus'];

/**
 * Report a page's attention to its client.
 *
 * @param {{setAttention: (state: 'active'|'away') => void}} client
 * @param {{signal?: AbortSignal, idleMs?: number}} [options] `signal` ends it
 */
export function followAttention(client, { signal, idleMs = IDLE_MS } = {}) {
  let lastSign = Date.now();
  let cancel = () => {};
  const update = () => {
    cancel();
    const hidden = document.visibilityState === 'hidden';
    const awayAt = hidden ? Date.now() + LEAVING_MS : lastSign + idleMs;
    if (!hidden) client.setAttention(Date.now() < awayAt ? 'active' : 'away');
    if (hidden || Date.now() < awayAt) cancel = callAt(awayAt, leave);
  };
  const leave = () => {
    if (document.visibilityState === 'hidden' || Date.now() >= lastSign + idleMs) client.setAttention('away');
    else update(); // there were signs meanwhile
  };
  const notice = () => {
    const wasIdle = Date.now() >= lastSign + idleMs;
    lastSign = Date.now();
    if (wasIdle) update();
  };
  const show = () => {
    if (document.visibilityState === 'visible') lastSign = Date.now(); // somebody has brought it to the front
    update();
  };
  for (const type of SIGNS) addEventListener(type, notice, { signal, capture: true, passive: true });
  document.addEventListener('visibilitychange', show, { signal });
  signal?.addEventListener('abort', () => cancel(), { once: true });
  update();
}
