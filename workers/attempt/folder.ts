import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { Workspaces } from '../../src/workspaces/roots.js';
import type { Transcript } from '../claude/transcripts.js';
import { TaskFault } from './fault.js';

export interface SessionFolder {
  readonly path: string;
  /** Undefined: the session has a folder of its own. */
  readonly workspace: string | undefined;
}

/**
 * The session's folder on this host. The session's first attempt binds it to a workspace, and all later attempts use that one.
 * No two attempts of a session run at once.
 * @param sessionExists the session has a transcript.
 * @param folders.own prepares the session's own folder.
 * @throws {TaskFault} workspace_mismatch, workspace_unavailable. @throws {BrokerError}
 */
export async function folderOf(
  { workspace: requested }: Pick<SpawnCommand, 'workspace'>,
  transcript: Pick<Transcript, 'workspace' | 'bind'>,
  sessionExists: boolean,
  { own, workspaces }: { own: () => Promise<string>; workspaces: Pick<Workspaces, 'find'> },
): Promise<SessionFolder> {
  const bound = await boundOf(transcript);
  if (requested !== undefined && requested !== bound && (bound !== undefined || sessionExists))
    throw new TaskFault('workspace_mismatch', `it began in ${bound ?? 'a folder of its own'}, and not in ${requested}`);
  const workspace = bound ?? requested;
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
