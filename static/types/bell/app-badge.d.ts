export function attach(extra: import("./extras.js").Extra): void | Promise<void>;
