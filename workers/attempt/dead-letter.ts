import type { Logger } from 'pino';
import type { DeadLetter } from '../../contracts/tasks/dead-letters.js';
import type { EventData } from '../../contracts/events/events.js';
import { FORMAT_VERSION, HEADER, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { publishExpecting } from '../../src/broker/publish.js';
import { lastState, type TaskIdentity } from '../../src/broker/task-states.js';
import { readStates, type TaskStateEvent } from './history.js';

export interface Given {
  readonly identity: TaskIdentity;
  readonly queue: string;
  /** The command, or its text if the command cannot be read. */
  readonly command: unknown;
}

/**
 * Stores a task's dead letter if its outcome says that it was given up and none is stored yet. Safe to repeat. Call it before the
 * promotion and the acknowledgement, so that a redelivery repeats it after a crash.
 * @throws {BrokerError}
 */
export async function postDeadLetter(broker: Broker, blobs: Blobs, given: Given, log: Logger): Promise<void> {
  const { task_id: taskId } = given.identity;
  const { seq } = await lastState(broker, taskId);
  const letter = letterOf(given, await readStates(broker, taskId, seq, log));
  if (letter === undefined) return;
  const subject = SUBJECT.dead(given.queue, taskId);
  const payload = await fitting(letter, blobs);
  const headers = { [HEADER.taskId]: taskId };
  await publishExpecting(broker, { subject, payload, headers, expect: { filter: subject, seq: 0 } });
}

/** The dead letter that a task's states require. Undefined: the task was not given up. Pure. */
export function letterOf(
  { identity, queue, command }: Given,
  states: readonly TaskStateEvent[],
): DeadLetter | undefined {
  const outcome = states.at(-1)?.event;
  if (outcome?.type !== 'SPAWN_ERROR') return undefined;
  const { given_up, error } = outcome.data as EventData<'SPAWN_ERROR'>;
  if (given_up === undefined) return undefined;
  return {
    v: FORMAT_VERSION,
    ...identity,
    queue,
    given_up,
    timestamp: outcome.timestamp,
    error,
    command,
    history: states.map(({ seq, event: { type, timestamp, data } }) => {
      const { output: _output, ...rest } = data as Record<string, unknown>;
      return { seq, type, timestamp, data: rest };
    }),
  };
}

async function fitting(letter: DeadLetter, blobs: Blobs): Promise<string> {
  const payload = JSON.stringify(letter);
  if (!blobs.needed(Buffer.byteLength(payload))) return payload;
  const { command: _command, history: _history, ...rest } = letter;
  const ref = await blobs.put(`dead/${letter.task_id}`, Buffer.from(payload));
  return JSON.stringify({ ...rest, ref });
}
