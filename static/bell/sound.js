/** A short chime for what arrives, while somebody looks or not; browsers allow it once the page was clicked. */

const PAUSE_MS = 2_000; // between two chimes
const NOTES = [880, 1318.5]; // hertz

/** @type {import('./extras.js').Attach} */
export function attach({ client, value, signal }) {
  let last = -Infinity;
  const play = value === '' ? chime : () => new Audio(value).play();
  client.addEventListener(
    'arrival',
    (event) => {
      if (!(/** @type {CustomEvent} */ (event).detail.live) || performance.now() - last < PAUSE_MS) return;
      if (!navigator.userActivation.hasBeenActive) return;
      last = performance.now();
      play()?.catch(() => {}); // not allowed after all, or no such file: the badge tells as well
    },
    { signal },
  );
}

/** Two notes, made here: nothing to fetch, nothing for a content policy to refuse. */
async function chime() {
  const audio = new AudioContext();
  const end = audio.currentTime + 0.7;
  NOTES.forEach((frequency, index) => {
    const [tone, volume] = [audio.createOscillator(), audio.createGain()];
    const start = audio.currentTime + index * 0.12;
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.08, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, end);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(end);
    if (index === NOTES.length - 1) tone.onended = () => audio.close();
  });
}
