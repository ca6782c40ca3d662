export const rowStyle: CSSStyleSheet;
