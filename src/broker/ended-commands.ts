import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Blobs } from './blobs.js';
import { commandOf } from './commands.js';
import type { Broker } from './connect.js';
import { publishExpecting } from './publish.js';
import { lastBySubject, type Stored } from './read.js';

/**
 * Keeps the command of an ended task, whose events don't hold its prompt, so that it can be run again. Safe to repeat. Nothing waits
 * for a stream that does not take it.
 * @param payload of its run or waiting entry, as it stands there.
 * @throws {BrokerError} `unavailable` while the connection is lost.
 */
export async function keepCommand(broker: Broker, taskId: string, payload: Uint8Array): Promise<void> {
  const subject = SUBJECT.ended(taskId);
  const headers = { [HEADER.taskId]: taskId };
  await broker.optional.store('ended_command', taskId, payload.byteLength, async () => {
    await publishExpecting(broker, { subject, payload, headers, expect: { filter: subject, seq: 0 } });
  });
}

/** @returns undefined when it isn't kept (any more), or isn't one that this build understands. @throws {BrokerError} */
export async function keptCommand(
  broker: Broker,
  blobs: Blobs,
  { taskId, sessionId }: { taskId: string; sessionId: string },
): Promise<SpawnCommand | undefined> {
  const kept = (): Promise<Stored | undefined> => lastBySubject(broker, STREAM.ended, SUBJECT.ended(taskId));
  const queued = async (): Promise<Stored | undefined> => {
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    return run !== undefined && run.header(HEADER.taskId) === taskId ? run : undefined;
  };
  // Between its outcome and its release it is still in the queue; and it may be released between two looks.
  const stored = (await kept()) ?? (await queued()) ?? (await kept());
  return stored === undefined ? undefined : commandOf(stored, blobs);
}
