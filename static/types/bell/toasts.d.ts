export function attach(extra: import("./extras.js").Extra): void | Promise<void>;
export type Item = import("../store.js").Item;
