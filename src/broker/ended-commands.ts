import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Blobs } from './blobs.js';
import { commandOf } from './commands.js';
import type { Broker } from './connect.js';
import { publishExpecting } from './publish.js';
import { lastBySubject, type Stored } from './read.js';

/**
 * Stores the command of an ended task for a manual retry, because events do not contain the prompt. Idempotent. If the stream refuses
 * the write, it is retried in the background.
 * @param payload of the queue entry.
 * @throws {BrokerError} `unavailable` while the connection is lost.
 */
export async function storeEndedCommand(broker: Broker, taskId: string, payload: Uint8Array): Promise<void> {
  const subject = SUBJECT.ended(taskId);
  const headers = { [HEADER.taskId]: taskId };
  await broker.optional.store('ended_command', taskId, payload.byteLength, async () => {
    await publishExpecting(broker, { subject, payload, headers, expect: { filter: subject, seq: 0 } });
  });
}

/** The command of an ended task. @returns undefined if it is not stored, or not understood by this build. @throws {BrokerError} */
export async function readEndedCommand(
  broker: Broker,
  blobs: Blobs,
  { taskId, sessionId }: { taskId: string; sessionId: string },
): Promise<SpawnCommand | undefined> {
  const kept = (): Promise<Stored | undefined> => lastBySubject(broker, STREAM.ended, SUBJECT.ended(taskId));
  const queued = async (): Promise<Stored | undefined> => {
    const run = await lastBySubject(broker, STREAM.commands, SUBJECT.sessionRuns(sessionId));
    return run !== undefined && run.header(HEADER.taskId) === taskId ? run : undefined;
  };
  // Until its release, an ended task is still in the queue. The release may happen between the first two reads.
  const stored = (await kept()) ?? (await queued()) ?? (await kept());
  return stored === undefined ? undefined : commandOf(stored, blobs);
}
