/** Where the list is put. */

const GAP = 8; // pixels to the button and to the edges of the window
const ENOUGH = 300;
const MOST_HEIGHT = 640;

/**
 * Put the panel below the button, within the window (above it, if there is more room). On a phone the styles make it a
 * sheet, whatever is said here.
 *
 * @param {HTMLElement} bell @param {HTMLElement} panel
 */
export function place(bell, panel) {
  const button = bell.getBoundingClientRect();
  const [width, height] = [document.documentElement.clientWidth, window.innerHeight];
  const [below, above] = [height - button.bottom - 2 * GAP, button.top - 2 * GAP];
  const under = below >= ENOUGH || below >= above;
  // Aligned with the button's outer edge, but never out of the window; CSS knows the width before it is shown.
  const left = button.left + button.right < width && button.right < width / 2;
  const edge = `max(${GAP}px, min(${left ? button.left : width - button.right}px, ${width - GAP}px - var(--_width)))`;
  const where = {
    '--_top': under ? `${button.bottom + GAP}px` : 'auto',
    '--_bottom': under ? 'auto' : `${height - button.top + GAP}px`,
    '--_left': left ? edge : 'auto',
    '--_right': left ? 'auto' : edge,
    '--_height': `${Math.min(MOST_HEIGHT, under ? below : above)}px`,
  };
  for (const [name, value] of Object.entries(where)) panel.style.setProperty(name, value);
}
