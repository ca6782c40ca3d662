/** Build one bell's elements. */
export function buildParts(): {
    bell: HTMLButtonElement;
    badge: HTMLSpanElement;
    panel: HTMLDivElement;
    heading: HTMLHeadingElement;
    all: HTMLButtonElement;
    close: HTMLButtonElement;
    banner: HTMLDivElement;
    scroll: HTMLDivElement;
    list: HTMLUListElement;
    more: HTMLButtonElement;
    notice: HTMLDivElement;
    title: HTMLElement;
    text: HTMLSpanElement;
    retry: HTMLButtonElement;
    loading: HTMLDivElement;
    status: HTMLDivElement;
};
/**
 * @param {ReturnType<typeof buildParts>} parts @param {import('./messages.js').Words} words
 * @param {import('./inbox-view.js').View} view @param {boolean} failed whether the list could not be loaded
 */
export function speak(parts: ReturnType<typeof buildParts>, words: import("./messages.js").Words, view: import("./inbox-view.js").View, failed: boolean): void;
