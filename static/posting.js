/** Saying by HTTP what only a WebSocket can carry. Loaded only where there is none. */

import { retryAfter } from './transport.js';

/** @typedef {{code: string, message: string, afterMs: number|null}} Refusal `unavailable`: to be said again */

/**
 * Do what a frame says.
 *
 * @param {(path: string, options: {body: object}) => Promise<Response>} request
 * @param {string} connection its id
 * @param {{type: string, ref?: number}} frame
 * @returns {Promise<Refusal|null>} null: done; a stream or a poll confirms it
 */
export async function post(request, connection, { type, ref: _, ...rest }) {
  const answer =
    type === 'presence'
      ? await request('/v1/presence', { body: { connection, ...rest } })
      : await request(`/v1/inbox/${type}`, { body: rest });
  if (answer.ok) return null;
  const isOver = answer.status < 500 && answer.status !== 429;
  return { code: isOver ? String(answer.status) : 'unavailable', message: answer.statusText, afterMs: retryAfter(answer) };
}
