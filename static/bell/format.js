/** Times and days, as `Intl` says them. */

const DAY = 86_400_000;

/** @type {Record<string, any>} making a formatter costs more than using it a thousand times */
const made = {};

/** @param {'RelativeTimeFormat'|'DateTimeFormat'} kind @param {string} tag @param {object} options @returns {any} */
function formatter(kind, tag, options) {
  return (made[kind + tag + JSON.stringify(options)] ??= new Intl[kind](tag, options));
}

/** @param {number|Date} then @param {string} tag @param {Intl.DateTimeFormatOptions} options @returns {string} */
export function date(then, tag, options) {
  return formatter('DateTimeFormat', tag, options).format(then);
}

/**
 * Within a day how long ago; before that the time of day: the day stands above.
 *
 * @param {number} then @param {number} now @param {string} tag @returns {string}
 */
export function age(then, now, tag) {
  const minutes = (then - now) / 60_000;
  if (minutes <= -1440) return date(then, tag, { timeStyle: 'short' });
  const [value, unit] = minutes <= -60 ? [minutes / 60, 'hour'] : minutes <= -1 ? [minutes, 'minute'] : [0, 'second'];
  return formatter('RelativeTimeFormat', tag, { numeric: 'auto', style: 'short' }).format(Math.ceil(value), unit);
}

/** The same for all times of one day here. @param {number|Date} then */
export function dayOf(then) {
  return new Date(then).setHours(0, 0, 0, 0);
}

/** "Today", "Yesterday", a weekday with the date. @param {number} then @param {number} now @param {string} tag */
export function dayLabel(then, now, tag) {
  const ago = Math.round((dayOf(then) - dayOf(now)) / DAY);
  if (ago > 0 || ago < -1) return date(then, tag, { dateStyle: 'full' });
  const word = formatter('RelativeTimeFormat', tag, { numeric: 'auto' }).format(ago, 'day');
  return word[0].toLocaleUpperCase(tag) + word.slice(1);
}
