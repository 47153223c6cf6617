import { createHash } from 'node:crypto';
import type { IdKey } from '../../../contracts/wire/record-kind.js';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The record of a client's key. Owners and keys contain no NUL, so each pair has its own record. */
export const clientKey = (owner: string, key: string): IdKey => [sha256(`${owner}\0${key}`)];

/** The record of a client's key of a call other than a spawn. Cannot collide with the key of a spawn. */
export const callKey = (owner: string, key: string): IdKey => [sha256(`\0call\0${owner}\0${key}`)];

/** The record of a dead letter that was put back. Cannot collide with a client's key. */
export const putBackKey = (taskId: string): IdKey => [sha256(`\0dead\0${taskId}`)];

/** The record of the task of a message to a managed agent. Cannot collide with a client's key. */
export const messageKey = (agentId: string, messageId: string): IdKey => [
  sha256(`\0message\0${agentId}\0${messageId}`),
];

/** The record of the task that a tool call created. Cannot collide with a client's key. */
export const toolCallKey = (call: string): IdKey => [sha256(`\0agent-tools\0${call}`)];

/** Independent of the order of fields and the formatting of the JSON. */
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
