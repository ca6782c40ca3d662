/** @param {string} text */
export function styleSheet(text: string): CSSStyleSheet;
/** Have a shadow root use one more. @param {ShadowRoot} root @param {CSSStyleSheet} sheet */
export function adopt(root: ShadowRoot, sheet: CSSStyleSheet): void;
export const bellStyle: CSSStyleSheet;
