/**
 * Three ways to hear from a hub, all alike: each opens one connection, hands over its frames, and resolves when it
 * has ended. None of them reconnects; that is the client's business.
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
 */

import { randomName } from './identity.js';

const POLL_S = 25; // how long a call may wait for news; proxies commonly give up at 60

/** @type {Transport} */
export function websocket({ url, token, cursor, attention, signal, onFrame, onWritable }) {
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

/** Server-sent events, read by `fetch` because `EventSource` can't send an Authorization header. @type {Transport} */
export async function sse({ url, token, cursor, attention, signal, onFrame }) {
  const headers = new Headers({ Authorization: `Bearer ${token}`, Accept: 'text/event-stream' });
  if (cursor !== null) headers.set('Last-Event-ID', cursor);
  const answer = await ask(`${url}/v1/sse?state=${attention()}`, { headers, signal, cache: 'no-store' });
  if (!(answer instanceof Response)) return answer;
  if (!answer.ok || answer.body === null) return refused(answer);
  try {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = eventParser(onFrame);
    for (let part = await reader.read(); !part.done; part = await reader.read()) parse(part.value);
  } catch (error) {
    return { code: 1006, reason: String(error), afterMs: null };
  }
  return { code: 1005, reason: 'the stream ended', afterMs: null };
}

/** Long polling, for where nothing streams. @type {Transport} */
export async function poll({ url, token, cursor, attention, signal, onFrame }) {
  const connection = randomName(); // so that the server takes all calls for one connection
  const headers = { Authorization: `Bearer ${token}` };
  let at = cursor;
  let timeout = 0; // the first call is to tell whether polling works at all
  for (;;) {
    const query = new URLSearchParams({ connection, state: attention(), timeout: String(timeout) });
    if (at !== null) query.set('cursor', at);
    const answer = await ask(`${url}/v1/poll?${query}`, { headers, signal, cache: 'no-store' });
    if (!(answer instanceof Response)) return answer;
    if (!answer.ok) return refused(answer);
    try {
      const { frames, cursor: reached } = await answer.json();
      if (signal.aborted) return { code: 1000, reason: 'closed here', afterMs: null };
      for (const frame of frames) onFrame(frame);
      onFrame({ type: 'ping', cursor: reached });
      at = reached;
      timeout = POLL_S;
    } catch (error) {
      return { code: 1006, reason: String(error), afterMs: null };
    }
  }
}

/**
 * Read an event stream as its text comes in (HTML standard, section 9.2.6), one frame an event.
 *
 * @param {(frame: any) => void} onFrame
 * @returns {(text: string) => void}
 */
export function eventParser(onFrame) {
  let rest = '';
  let id = /** @type {string|null} */ (null);
  let data = /** @type {string[]} */ ([]);
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length > 0) onFrame({ ...JSON.parse(data.join('\n')), ...(id === null ? {} : { cursor: id }) });
        [id, data] = [null, []];
        continue;
      }
      const [, name, value] = /** @type {RegExpMatchArray} */ (line.match(/^([^:]*):? ?(.*)$/s));
      if (name === 'data') data.push(value);
      if (name === 'id') id = value;
    }
  };
}

/** @param {string} url @param {RequestInit} options @returns {Promise<Response|Ended>} */
async function ask(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    return { code: 0, reason: String(error), afterMs: null };
  }
}

/** @param {Response} answer @returns {Ended} */
function refused(answer) {
  return { code: answer.status, reason: answer.statusText, afterMs: retryAfter(answer) };
}

/** What `Retry-After` asks for (RFC 9110, section 10.2.3). @param {Response} answer @returns {number|null} milliseconds */
export function retryAfter(answer) {
  const value = answer.headers.get('Retry-After') ?? '';
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(wait) ? Math.max(0, wait) : null;
}
