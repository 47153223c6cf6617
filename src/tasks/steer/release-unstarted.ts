import type { Logger } from 'pino';
import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { storeEndedCommand } from '../../broker/ended-commands.js';
import { deleteMessage, lastBySubject } from '../../broker/read.js';
import { findEntry, releaseSession } from '../../broker/session-queue.js';
import type { TaskIdentity } from '../../broker/task-states.js';

/**
 * Removes a task that ended without running from the queue and releases its session. Never rejects: if it fails, the worker that gets the
 * run or the sweeper does it.
 */
export async function releaseUnstarted(
  broker: Broker,
  { task_id: taskId, session_id: sessionId }: TaskIdentity,
  log: Logger,
): Promise<void> {
  try {
    const place = await findEntry(broker, { taskId, sessionId });
    if (place === undefined) return;
    const remove = (): Promise<void> => deleteMessage(broker, STREAM.commands, place.seq);
    if (place.kind === 'run') return await releaseSession(broker, sessionId, taskId, remove);
    const entry = await lastBySubject(broker, STREAM.commands, SUBJECT.waiting('*', taskId, sessionId));
    if (entry !== undefined) await storeEndedCommand(broker, taskId, entry.data);
    await remove();
  } catch (error) {
    log.warn(
      { err: error, task_id: taskId },
      'could not remove an ended task from the queue; a worker or the sweeper will',
    );
  }
}
