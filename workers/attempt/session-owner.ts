import { HEADER, STREAM, SUBJECT } from '../../contracts/names.js';
import type { SpawnCommand } from '../../contracts/spawn.js';
import type { Broker } from '../../src/broker/connect.js';
import { nextBySubject } from '../../src/broker/read.js';
import { whileUnavailable } from '../certain.js';
import { TaskFault } from './fault.js';

/**
 * The API has checked whose session it is. A session that was begun by another owner since then, or a forged command, must not show a transcript to
 * whoever asks for it.
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
    const first = await whileUnavailable(broker, signal, () => nextBySubject(broker, STREAM.transcripts, subject));
    if (first !== undefined && first.header(HEADER.owner) !== owner)
      throw new TaskFault('session_gone', `The owner ${owner} has no session ${sessionId}`);
  }
}
