export function sse(link: import("./transport.js").Link): Promise<import("./transport.js").Ended>;
export function poll(link: import("./transport.js").Link): Promise<import("./transport.js").Ended>;
/**
 * Read an event stream as its text comes in (HTML standard, section 9.2.6), one frame an event.
 *
 * @param {(frame: any) => void} onFrame
 * @returns {(text: string) => void}
 */
export function eventParser(onFrame: (frame: any) => void): (text: string) => void;
/**
 * Hearing from a hub where WebSockets don't get through. Loaded only there.
 */
export type Transport = import("./transport.js").Transport;
/**
 * Hearing from a hub where WebSockets don't get through. Loaded only there.
 */
export type Ended = import("./transport.js").Ended;
