import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { Workspaces } from '../../src/workspaces/roots.js';
import type { Transcript } from '../claude/transcripts.js';
import { TaskFault } from './fault.js';

export interface SessionFolder {
  readonly path: string;
  /** Undefined: it is the session's own. */
  readonly workspace: string | undefined;
}

/**
 * The folder that a session works in, on this host. The first attempt of a session decides, as no other can run beside it;
 * all later ones keep to that, whatever they ask for.
 * @param begun the session has a transcript.
 * @param places.own makes the session's own folder ready.
 * @throws {TaskFault | BrokerError}
 */
export async function folderOf(
  { workspace: asked }: Pick<SpawnCommand, 'workspace'>,
  transcript: Pick<Transcript, 'workspace' | 'bind'>,
  begun: boolean,
  { own, workspaces }: { own: () => Promise<string>; workspaces: Pick<Workspaces, 'find'> },
): Promise<SessionFolder> {
  const bound = await boundOf(transcript);
  if (asked !== undefined && asked !== bound && (bound !== undefined || begun))
    throw new TaskFault('workspace_mismatch', `it began in ${bound ?? 'a folder of its own'}, and not in ${asked}`);
  const workspace = bound ?? asked;
  if (workspace === undefined) return { path: await own(), workspace };
  const found = await workspaces.find(workspace);
  if (found.kind !== 'found') throw new TaskFault('workspace_unavailable', found.why);
  if (bound === undefined) await transcript.bind(workspace);
  return { path: found.path, workspace };
}

async function boundOf(transcript: Pick<Transcript, 'workspace'>): Promise<string | undefined> {
  try {
    return await transcript.workspace();
  } catch (error) {
    if (!isBrokerError(error, 'unreadable')) throw error;
    throw new TaskFault('workspace_unavailable', `${error.message}. Delete the session, or use another one`);
  }
}
