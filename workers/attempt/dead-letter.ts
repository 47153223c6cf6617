import type { DeadLetter } from '../../contracts/tasks/dead-letters.js';
import type { EventData } from '../../contracts/events/events.js';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import { lastBySubject } from '../../src/broker/read.js';
import type { TaskIdentity } from './command.js';
import { readStates, type TaskStateEvent } from './history.js';

export interface Given {
  readonly identity: TaskIdentity;
  readonly queue: string;
  /** The command; its text if it can't be read. */
  readonly command: unknown;
}

/**
 * Stores the dead letter of a task if its outcome says that it was given up, and there is none yet. Safe to repeat; comes
 * before the promotion and the acknowledgement, so that a crash in between repeats it.
 * @throws {BrokerError}
 */
export async function postDeadLetter(broker: Broker, blobs: Blobs, given: Given): Promise<void> {
  const { task_id: taskId } = given.identity;
  const last = await lastBySubject(broker, STREAM.events, SUBJECT.taskStates(taskId));
  if (last === undefined) return;
  const letter = letterOf(given, await readStates(broker, taskId, last.seq));
  if (letter === undefined) return;
  const subject = SUBJECT.dead(given.queue, taskId);
  try {
    await broker.publisher.publish({
      subject,
      payload: await fitting(letter, blobs),
      headers: { [HEADER.taskId]: taskId },
      expect: { filter: subject, seq: 0 },
    });
  } catch (error) {
    // It is there.
    if (!isBrokerError(error, 'conflict')) throw error;
  }
}

/** The letter that a task's states call for; undefined when it was not given up. Pure. */
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
