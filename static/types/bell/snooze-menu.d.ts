/** @typedef {import('./messages.js').Words} Words */
/** What is offered at a time. @param {Date} now @returns {{name: 'inAnHour'|'thisEvening'|'tomorrow'|'nextWeek', until: Date}[]} */
export function snoozeTimes(now: Date): {
    name: "inAnHour" | "thisEvening" | "tomorrow" | "nextWeek";
    until: Date;
}[];
/**
 * @param {HTMLElement} button
 * @param {HTMLElement} panel
 * @param {Words} words
 * @param {(until: Date) => void} onPick
 */
export function openSnoozeMenu(button: HTMLElement, panel: HTMLElement, words: Words, onPick: (until: Date) => void): void;
export type Words = import("./messages.js").Words;
