import { createHash } from 'node:crypto';
import type { IdKey } from '../../../contracts/wire/record-kind.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The record of an owner's key. Neither can hold a NUL, so no two pairs are alike. */
export const clientKey = (owner: string, key: string): IdKey => [sha256(`${owner}\0${key}`)];

/** The record of a dead letter that was put back; no client's key can lead there. */
export const putBackKey = (taskId: string): IdKey => [sha256(`\0dead\0${taskId}`)];

/** The record of the task that a message to a managed agent became; no client's key can lead there. */
export const messageKey = (agentId: string, messageId: string): IdKey => [
  sha256(`\0message\0${agentId}\0${messageId}`),
];

/** The record of the task that an agent's tool call made; no client's key can lead there. */
export const toolCallKey = (call: string): IdKey => [sha256(`\0hands\0${call}`)];

/** The same for requests that differ only in the order of their fields, or in how their JSON was written. */
export const requestHash = (request: object): string => sha256(JSON.stringify(sorted(request)));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, sorted(field)]),
  );
}
