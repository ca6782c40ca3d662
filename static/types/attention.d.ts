/**
 * Report a page's attention to its client.
 *
 * @param {{setAttention: (state: 'active'|'away') => void}} client
 * @param {{signal?: AbortSignal, idleMs?: number}} [options] `signal` ends it
 */
export function followAttention(client: {
    setAttention: (state: "active" | "away") => void;
}, { signal, idleMs }?: {
    signal?: AbortSignal;
    idleMs?: number;
}): void;
