/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string|number|boolean|null>} [attributes] true: without a value; false, null: not at all
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h<Name extends keyof HTMLElementTagNameMap>(name: Name, attributes?: Record<string, string | number | boolean | null>, ...children: (Node | string)[]): HTMLElementTagNameMap[Name];
/** A drawing of lines in a square of 24, that says nothing to screen readers. @param {...string} lines */
export function icon(...lines: string[]): SVGSVGElement;
/** A button that is only a drawing; its name comes with the words. @param {string} name its class @param {...string} lines */
export function iconButton(name: string, ...lines: string[]): HTMLButtonElement;
/** Say what an icon button does. @param {Element} button @param {string} name @param {string} [tip] what the mouse sees */
export function nameButton(button: Element, name: string, tip?: string): void;
