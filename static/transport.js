/**
 * Ways to hear from a hub, all alike (the others are in streams.js): each opens one connection, hands over its frames,
 * and resolves when it has ended. None of them reconnects; that is the client's business.
 */

/**
 * @typedef {object} Link
 * @property {string} url the hub's address, without a trailing slash
 * @property {string} token
 * @property {string|null} cursor where to resume
 * @property {() => 'active'|'away'} attention what to tell the server of it when connecting
 * @property {AbortSignal} signal ends the connection
 * @property {(frame: any) => void} onFrame
 * @property {(send: ((frame: object) => void)|null) => void} onWritable how to send frames, where that is possible
 * @property {(until: number|null) => void} onDelay the connection that this one goes through is lost: it is made anew,
 *   at once or at that time (milliseconds since the epoch)
 *
 * @typedef {object} Ended
 * @property {number} code a WebSocket close code, or the HTTP status of an answer that was no stream; 0: no answer
 * @property {string} reason
 * @property {number|null} afterMs how long the server asks to wait
 * @property {boolean} [again] it is no failure: connect again at once
 *
 * @typedef {(link: Link) => Promise<Ended>} Transport
 * @typedef {{name: 'websocket'|'sse'|'poll', open: Transport}} Rung
 */

/** @type {Rung} */
export const webSocket = { name: 'websocket', open: openWebSocket };

/** @type {Transport} */
function openWebSocket({ url, token, cursor, attention, signal, onFrame, onWritable }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`);
    const hangUp = () => {
      socket.close(1000);
      resolve({ code: 1000, reason: 'closed here', afterMs: null });
    };
    signal.addEventListener('abort', hangUp, { once: true });
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: 'connect', token, cursor, state: attention() }));
      onWritable((frame) => socket.send(JSON.stringify(frame)));
    };
    socket.onmessage = ({ data }) => {
      if (signal.aborted) return;
      for (const line of data.split('\n')) if (line !== '') onFrame(JSON.parse(line));
    };
    socket.onclose = ({ code, reason }) => {
      signal.removeEventListener('abort', hangUp);
      resolve({ code, reason, afterMs: null });
    };
  });
}

/** What `Retry-After` asks for (RFC 9110, section 10.2.3). @param {Response} answer @returns {number|null} milliseconds */
export function retryAfter(answer) {
  const value = answer.headers.get('Retry-After') ?? '';
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}
