const LOOK_MS = 5_000;

/**
 * Call back at a time of the wall clock. Timers stand still while a machine sleeps: this one notices within five seconds
 * of waking that its time has passed.
 *
 * @param {number} time milliseconds since the epoch
 * @param {() => void} callback never called before this function has returned
 * @returns {() => void} call it to cancel
 */
export function callAt(time, callback) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const wait = () => {
    timer = setTimeout(() => (Date.now() < time ? wait() : callback()), Math.min(Math.max(0, time - Date.now()), LOOK_MS));
  };
  wait();
  return () => clearTimeout(timer);
}
