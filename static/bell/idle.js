const SOON_MS = 1_000;

/** Call back as soon as there is nothing more urgent to do. @param {() => void} callback */
export function whenIdle(callback) {
  if ('requestIdleCallback' in window) requestIdleCallback(callback);
  else setTimeout(callback, SOON_MS); // Safari
}
