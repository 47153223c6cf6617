import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { costStateOf, type Counted } from '../claude/cost.js';
import { Transcript, transcriptEnd } from '../claude/transcripts.js';
import { TaskFault } from './fault.js';
import { folderOf } from './folder.js';
import { forkTranscript } from './fork.js';
import type { AttemptOptions } from './options.js';
import { refuseForeignSession } from './session-owner.js';

type SessionOptions = Pick<AttemptOptions, 'context' | 'lease' | 'command' | 'claim' | 'events' | 'redaction'>;

/** A task's session, ready for Claude on this host. */
export interface OpenSession {
  readonly transcript: Transcript;
  /** Claude's working folder. */
  readonly cwd: string;
  /** Undefined: the session has a folder of its own. */
  readonly workspace: string | undefined;
  /** Claude may not write in `cwd`. */
  readonly readOnly: boolean;
  /** The transcript has entries from which Claude continues. */
  readonly resume: boolean;
  /** The last costs that Claude recorded in the session. */
  readonly costState: Counted | undefined;
}

/**
 * Opens a task's session. If the task asks for a fork, the session starts as a copy of the other session.
 * @param onAppend receives the entries that Claude adds to the transcript.
 * @throws {TaskFault | BrokerError}, and the lease's reason when the lease is lost.
 */
export async function openSession(
  options: SessionOptions,
  onAppend: (entries: readonly Counted[]) => void,
): Promise<OpenSession> {
  const { context, lease, command, claim } = options;
  const { session_id: sessionId } = command;
  const { signal } = lease;
  await refuseForeignSession(context.broker, command, sessionId, signal);
  /** The workspace in which Claude may write. */
  let writable: string | undefined;
  const transcript = new Transcript({
    ...transcriptOptions(options, sessionId),
    ...claim.transcript,
    onAppend: (entries) => {
      onAppend(entries);
      if (writable !== undefined) context.worktrees.note(sessionId, writable, entries);
    },
  });
  const exists = await transcript.exists();
  const { path: cwd, workspace } = await folderOf(command, transcript, exists, {
    own: () => context.sessionFolder(sessionId, signal),
    workspaces: context.workspaces,
  });
  const readOnly = command.workspace_access === 'read';
  if (readOnly && context.launcher.kind !== 'sandbox')
    throw new TaskFault('workspace_unavailable', 'only a worker with a sandbox can make it read-only');
  if (workspace !== undefined && !readOnly) writable = cwd;
  const resume = exists || (await fork(options, transcript, cwd));
  const costState = costStateOf((await transcript.load({ projectKey: '', sessionId })) ?? []);
  return { transcript, cwd, workspace, readOnly, resume, costState };
}

/** Copies the session that the task wants to fork. @returns false if the task wants no fork. */
async function fork(options: SessionOptions, transcript: Transcript, cwd: string): Promise<boolean> {
  const { context, lease, command } = options;
  const { fork_of: from, session_id: sessionId } = command;
  if (from === undefined) return false;
  const { broker } = context;
  await refuseForeignSession(broker, command, from, lease.signal);
  const end = await retryWhileUnavailable(broker, lease.signal, () => transcriptEnd(broker, from));
  const source = new Transcript({ ...transcriptOptions(options, from), ...end });
  await forkTranscript({ sessionId: from, transcript: source }, { sessionId, transcript }, cwd);
  transcript.settle();
  return true;
}

const transcriptOptions = ({ context, lease, command, events, redaction }: SessionOptions, sessionId: string) => ({
  broker: context.broker,
  blobs: context.blobs,
  sessionId,
  owner: command.owner,
  redaction,
  large: events.large,
  signal: lease.signal,
});
