export class BackOff {
    /** When the wait ends (milliseconds since the epoch). */
    until: number;
    /** The next failure is a first one. */
    reset(): void;
    /** Wait until then, whatever else is asked. @param {number} time milliseconds since the epoch */
    plan(time: number): void;
    /** Count one more failure, and decide how long to wait. @param {number|null} asked milliseconds, by the server */
    fail(asked: number | null): void;
    /** Wait until it is time, or `wake` is called. @param {AbortSignal} signal ends it as well */
    wait(signal: AbortSignal): Promise<void>;
    wake(): void;
    #private;
}
