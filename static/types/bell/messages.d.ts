/** Bring the English words of a part. @param {Messages} messages */
export function addEnglish(messages: Messages): void;
/**
 * Add a language, or words of one. What a table lacks is said as by its language without a region, or in English.
 *
 * @param {string} tag such as `nl` or `pt-PT`
 * @param {Messages} messages
 */
export function defineLocale(tag: string, messages: Messages): void;
/**
 * Return the words for a language: the best there is now. A table that has to be fetched is announced by `locales`.
 *
 * @param {string} lang
 */
export function wordsFor(lang: string): Words;
/** The language of an element's surroundings, also outside of the shadow root that it may be in. @param {Element} element */
export function languageOf(element: Element): string;
/** Tells by `change` that a table has come. */
export const locales: EventTarget;
/** How to speak to one reader. */
export class Words {
    /** @param {string} tag a language that `Intl` knows @param {(Messages|undefined)[]} found best first */
    constructor(tag: string, found: (Messages | undefined)[]);
    tag: string;
    /** @type {'ltr'|'rtl'} */
    direction: "ltr" | "rtl";
    /** @param {number} count */
    number(count: number): string;
    /** @param {string} key @param {Record<string, string|number>} [values] for what is in braces */
    say(key: string, values?: Record<string, string | number>): string;
    #private;
}
/**
 * by plural category, where there is a `{count}`
 */
export type Message = string | {
    other: string;
    [category: string]: string;
};
/**
 * by key; `locales/de.js` has all keys
 */
export type Messages = Record<string, Message>;
