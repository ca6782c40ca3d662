/**
 * Hearing from a hub where WebSockets don't get through. Loaded only there.
 *
 * @typedef {import('./transport.js').Transport} Transport
 * @typedef {import('./transport.js').Ended} Ended
 */

import { randomName } from './identity.js';
import { retryAfter } from './transport.js';

const POLL_S = 25; // how long a call may wait for news; proxies commonly give up at 60

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
