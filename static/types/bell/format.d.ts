/** @param {number|Date} then @param {string} tag @param {Intl.DateTimeFormatOptions} options @returns {string} */
export function date(then: number | Date, tag: string, options: Intl.DateTimeFormatOptions): string;
/**
 * Within a day how long ago; before that the time of day: the day stands above.
 *
 * @param {number} then @param {number} now @param {string} tag @returns {string}
 */
export function age(then: number, now: number, tag: string): string;
/** The same for all times of one day here. @param {number|Date} then */
export function dayOf(then: number | Date): number;
/** "Today", "Yesterday", a weekday with the date. @param {number} then @param {number} now @param {string} tag */
export function dayLabel(then: number, now: number, tag: string): any;
