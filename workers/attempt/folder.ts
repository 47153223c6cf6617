import type { SpawnCommand } from '../../contracts/spawn.js';
import type { Workspaces } from '../../src/workspaces.js';
import type { Folders } from '../claude/folders.js';
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
 * @throws {TaskFault | BrokerError}
 */
export async function folderOf(
  { session_id: sessionId, workspace: asked }: Pick<SpawnCommand, 'session_id' | 'workspace'>,
  transcript: Pick<Transcript, 'workspace' | 'bind'>,
  begun: boolean,
  { folders, workspaces }: { folders: Pick<Folders, 'workspace'>; workspaces: Pick<Workspaces, 'find'> },
): Promise<SessionFolder> {
  const bound = await transcript.workspace();
  if (asked !== undefined && asked !== bound && (bound !== undefined || begun))
    throw new TaskFault('workspace_mismatch', `it began in ${bound ?? 'a folder of its own'}, and not in ${asked}`);
  const workspace = bound ?? asked;
  if (workspace === undefined) return { path: await folders.workspace(sessionId), workspace };
  const found = await workspaces.find(workspace);
  if (found.kind !== 'found') throw new TaskFault('workspace_unavailable', found.why);
  if (bound === undefined) await transcript.bind(workspace);
  return { path: found.path, workspace };
}
