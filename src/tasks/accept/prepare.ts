import { DEFAULT_QUEUE, FORMAT_VERSION } from '../../../contracts/wire/names.js';
import { onOneLine } from './attachments.js';
import { ClaudeOptions } from '../../../contracts/tasks/claude-options.js';
import { Policy } from '../../../contracts/tasks/policy.js';
import type { SpawnCommand, SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import type { TaskStatus } from '../../../contracts/tasks/states.js';
import type { ApiError } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { TargetSession } from '../../sessions/target-session.js';
import { pickFields } from '../../pick-fields.js';
import { defined } from '../../defined.js';

/** A checked request with its command. */
export interface PreparedTask {
  readonly command: SpawnCommand;
  /** The session was created for this request. */
  readonly fresh: boolean;
  /** A cursor just before the task's first event. */
  readonly since: string;
  readonly principal: Principal;
  /** The reason to refuse it, unless its idempotency key has an accepted task. */
  readonly refused?: ApiError;
}

/** Where a request comes from, if not directly from a client. */
export interface TaskOrigin {
  /** The task that it retries. */
  readonly retryOf?: string;
  /** For a managed agent's task. */
  readonly ofAgent?: Pick<
    SpawnCommand,
    'agent_id' | 'message' | 'agent_tools' | 'depth' | 'spawned_by' | 'ancestors' | 'hops' | 'exchange_id'
  >;
}

const MESSAGES: Partial<Record<TaskStatus, string>> = {
  queued: 'Stored; a worker will run it.',
  waiting: 'Stored; it runs when the tasks before it in its session have ended.',
};

/** The answer to an accepted request. */
export const acceptedOf = ({ command, since }: PreparedTask, status: TaskStatus): SpawnAccepted =>
  defined({
    task_id: command.task_id,
    session_id: command.session_id,
    session_name: command.session_name,
    status,
    message: MESSAGES[status] ?? '',
    since,
  });

interface MadeWith {
  /** The request's, or that of the forked session. */
  readonly workspace: string | undefined;
  readonly origin: TaskOrigin;
  readonly retentionMs: number;
  readonly budgetUsd: number | undefined;
  readonly taskId: string;
  /** In ms since 1970, by the broker's time. */
  readonly now: number;
}

/** The command of a request. */
export const commandFor = (
  request: SpawnRequest,
  session: TargetSession,
  principal: Principal,
  { workspace, origin: { retryOf, ofAgent }, retentionMs, budgetUsd, taskId, now }: MadeWith,
): SpawnCommand =>
  defined({
    v: FORMAT_VERSION,
    task_id: taskId,
    session_id: session.sessionId,
    session_name: session.sessionName,
    owner: principal.owner,
    token_id: principal.tokenId,
    ...(principal.seesAll ? { all_owners: true } : {}),
    queue: request.queue ?? DEFAULT_QUEUE,
    priority: request.priority ?? 'normal',
    ...acceptedAt(now, request, retentionMs),
    prompt: request.prompt,
    ...pickFields(request, ClaudeOptions.properties),
    ...(workspace === undefined ? {} : { workspace }),
    attachments: onOneLine(request.attachments),
    metadata: request.metadata,
    ...(budgetUsd === undefined ? {} : { budget_usd: budgetUsd }),
    fork_of: session.forkOf,
    ...policyOf(request),
    retry_of: retryOf,
    ...ofAgent,
  });

/** No task may stay open longer than its events are kept, so it has half of that time to start and half to run. */
const acceptedAt = (
  now: number,
  { queue_timeout_s }: SpawnRequest,
  retentionMs: number,
): Pick<SpawnCommand, 'accepted_at' | 'start_by'> => ({
  accepted_at: new Date(now).toISOString(),
  start_by: new Date(now + Math.min((queue_timeout_s ?? Infinity) * 1_000, retentionMs / 2)).toISOString(),
});

/** A request has the policy's fields at its top level; a command has them in `policy`. */
function policyOf(request: SpawnRequest): Pick<SpawnCommand, 'policy'> {
  const policy = pickFields(request, Policy.properties);
  return Object.keys(policy).length === 0 ? {} : { policy };
}
