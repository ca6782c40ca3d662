/** What keys do in the open list. */
/** @param {HTMLElement} panel @param {KeyboardEvent} event @param {(step: number) => void} move to another row */
export function handleKey(panel: HTMLElement, event: KeyboardEvent, move: (step: number) => void): void;
