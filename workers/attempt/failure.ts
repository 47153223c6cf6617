import type { TaskErrorCode } from '../../contracts/wire/errors.js';
import { NotRemoved } from '../claude/folders.js';
import { FolderMoved } from '../claude/open-folder.js';
import { shortageOf } from '../claude/shortage-of.js';
import { TaskFault } from './fault.js';

export interface Failure {
  readonly code: TaskErrorCode;
  /** The specifics of this case. */
  readonly what: string;
  /** The resource that the host is short of. */
  readonly shortage?: string;
}

/** Maps an error thrown by an attempt to the task's error. Unknown errors become `internal`. Pure. */
export function failureOf(error: unknown): Failure {
  if (error instanceof TaskFault) return { code: error.code, what: error.message };
  if (error instanceof NotRemoved) return { code: 'host_unable', what: error.message };
  const shortage = shortageOf(error);
  if (shortage !== undefined) return { code: 'host_unable', what: `it is short of ${shortage}`, shortage };
  if (error instanceof FolderMoved) return { code: 'workspace_unavailable', what: error.message };
  return { code: 'internal', what: error instanceof Error ? error.message : String(error) };
}
