/** Call back as soon as there is nothing more urgent to do. @param {() => void} callback */
export function whenIdle(callback: () => void): void;
