import { check } from '../../contracts/wire/check.js';
import { FORMAT_VERSION, HEADER } from '../../contracts/wire/names.js';
import { SpawnCommand, SpawnCommandRef } from '../../contracts/tasks/spawn.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { identityOf, type TaskIdentity } from '../../src/broker/task-states.js';
import { parseJson } from '../../src/json.js';

export type ReadCommand =
  | { kind: 'command'; identity: TaskIdentity; command: SpawnCommand }
  /** A newer build wrote it. Another worker may be able to read it. */
  | { kind: 'newer'; version: number }
  | { kind: 'malformed'; identity: TaskIdentity; why: string }
  /** It does not name its task. */
  | { kind: 'unreadable'; why: string };

/** Reads the command in a queue entry. @throws {BrokerError} when its body cannot be fetched now. */
export async function readCommand(delivery: Delivery, blobs: Blobs): Promise<ReadCommand> {
  const first = parseJson(delivery.data);
  const reference = check(SpawnCommandRef, first);
  if (!reference.ok) return interpret(delivery, first);
  try {
    return interpret(delivery, parseJson(await blobs.get(reference.value.ref)));
  } catch (error) {
    if (!isBrokerError(error, 'refused')) throw error;
    return broken(delivery, first, error.message);
  }
}

function interpret(delivery: Delivery, body: unknown): ReadCommand {
  const version = field(body, 'v');
  if (typeof version === 'number' && version > FORMAT_VERSION) return { kind: 'newer', version };
  const checked = check(SpawnCommand, body);
  if (!checked.ok) {
    const faults = checked.faults.map(({ field, message }) => `${field} ${message}`.trim());
    return broken(delivery, body, faults.join('; '));
  }
  const command = checked.value;
  return { kind: 'command', identity: identityOf(command), command };
}

function broken(delivery: Delivery, body: unknown, why: string): ReadCommand {
  const taskId = delivery.header(HEADER.taskId) || field(body, 'task_id');
  if (typeof taskId !== 'string' || taskId === '') return { kind: 'unreadable', why };
  const owner = field(body, 'owner');
  const identity = {
    task_id: taskId,
    session_id: delivery.subject.slice(delivery.subject.lastIndexOf('.') + 1),
    owner: typeof owner === 'string' ? owner : '',
  };
  return { kind: 'malformed', identity, why };
}

const field = (body: unknown, name: string): unknown =>
  typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
