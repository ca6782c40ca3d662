/**
 * Put a section on the bell's settings.
 *
 * @param {NotificationBell} bell @param {AbortSignal} signal takes it away again @param {...Node} children
 */
export function addSection(bell: NotificationBell, signal: AbortSignal, ...children: Node[]): void;
/**
 * A switch with its name.
 *
 * @param {string} name @param {boolean} checked @param {(input: HTMLInputElement) => void} onChange
 */
export function buildSwitch(name: string, checked: boolean, onChange: (input: HTMLInputElement) => void): {
    input: HTMLInputElement;
    label: HTMLLabelElement;
};
export type NotificationBell = import("../notification-bell.js").NotificationBell;
