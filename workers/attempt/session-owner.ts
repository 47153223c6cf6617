import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Broker } from '../../src/broker/connect.js';
import { nextBySubject } from '../../src/broker/read.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { TaskFault } from './fault.js';

/**
 * Refuses another owner's session. The API checked this when it accepted the task, but another owner may have started the session since.
 * This does not protect against forged commands: they can set `all_owners`.
 * @throws {TaskFault} session_gone: the session is another owner's.
 */
export async function refuseForeignSession(
  broker: Broker,
  { owner, all_owners: allOwners = false }: Pick<SpawnCommand, 'owner' | 'all_owners'>,
  sessionId: string,
  signal: AbortSignal,
): Promise<void> {
  if (allOwners) return;
  for (const subject of [SUBJECT.transcript(sessionId), SUBJECT.sessionWorkspace(sessionId)]) {
    const first = await retryWhileUnavailable(broker, signal, () => nextBySubject(broker, STREAM.transcripts, subject));
    if (first !== undefined && first.header(HEADER.owner) !== owner)
      throw new TaskFault('session_gone', `The owner ${owner} has no session ${sessionId}`);
  }
}
