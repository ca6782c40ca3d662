/**
 * Put the panel below the button, within the window (above it, if there is more room). On a phone the styles make it a
 * sheet, whatever is said here.
 *
 * @param {HTMLElement} bell @param {HTMLElement} panel
 */
export function place(bell: HTMLElement, panel: HTMLElement): void;
