import { Type, type Static } from 'typebox';
import { pageOf } from '../wire/page.js';

/** How often a worker writes its presence entry, in seconds. */
export const PRESENCE_S = 5;
/** After this many seconds without a new presence entry, a worker is shown as lost. Its entry expires after PRESENCE_TTL_S. */
export const LOST_AFTER_S = 3 * PRESENCE_S;
export const PRESENCE_TTL_S = 12 * PRESENCE_S;

/** Strongest first. */
export const CONTAINMENTS = ['sandbox', 'pid_namespace', 'process_group'] as const;

const fields = {
  worker_id: Type.String(),
  host: Type.String(),
  pid: Type.Integer(),
  concurrency: Type.Integer({ description: 'Maximum number of concurrent runs.' }),
  running: Type.Integer({ description: 'Number of current runs.' }),
  queues: Type.Array(Type.String()),
  containment: Type.Enum([...CONTAINMENTS], {
    description:
      "How Claude's processes are contained. `sandbox` ends with the run and hides KSI's files. `pid_namespace` ends with the run and hides nothing. `process_group` relies on a guard process.",
  }),
  started_at: Type.String({ format: 'date-time' }),
};

const clock = {
  clock_ahead_ms: Type.Optional(
    Type.Integer({
      description:
        "How far its host's clock is ahead of the broker's clock, in milliseconds. KSI uses the broker's clock.",
    }),
  ),
};

/** A file or folder that a worker could not remove. */
export const LeftoverFolder = Type.Object({
  path: Type.String({ description: 'On the host.' }),
  reason: Type.String({
    description: 'The error code of the operating system, such as `EPERM` for an immutable file.',
  }),
  slot: Type.Optional(
    Type.Integer({ description: 'The slot whose run left it. The slot takes no runs until it is removed.' }),
  ),
  session_id: Type.Optional(Type.String({ description: 'The deleted session that it belonged to.' })),
});
export type LeftoverFolder = Static<typeof LeftoverFolder>;

const disk = {
  out_of_service: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Number of slots that take no runs because files of their last run could not be removed.',
    }),
  ),
  undeleted: Type.Optional(
    Type.Array(LeftoverFolder, {
      description: 'Files and folders that could not be removed, or the first of them. The worker retries.',
    }),
  ),
};

const shortage = {
  shortage: Type.Optional(
    Type.String({
      description:
        'The resource that its host lacked when it last tried to run a task. The worker takes tasks more slowly.',
    }),
  ),
};

const limit = {
  limited_until: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'The worker takes no tasks until then because of a usage limit of Claude.',
    }),
  ),
};

/** A worker's entry in `ksi_workers`. The worker writes it every PRESENCE_S. It is for display only: no decision depends on it. */
export const WorkerPresence = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  ...fields,
  ...clock,
  ...limit,
  ...disk,
  ...shortage,
  state: Type.Enum(['working', 'draining']),
});
export type WorkerPresence = Static<typeof WorkerPresence>;

export const WorkerView = Type.Object({
  ...fields,
  ...clock,
  ...limit,
  ...disk,
  ...shortage,
  state: Type.Enum(['working', 'draining', 'lost'], {
    description: `\`lost\`: silent for ${LOST_AFTER_S} s. Other workers run its tasks when their leases expire.`,
  }),
  seen_at: Type.String({ format: 'date-time' }),
});
export type WorkerView = Static<typeof WorkerView>;

export const WorkerPage = pageOf(WorkerView, {});
export type WorkerPage = Static<typeof WorkerPage>;

export const LimitLifted = Type.Object({
  workers: Type.Array(Type.String(), { description: 'The workers that a usage limit stopped from taking tasks.' }),
});
export type LimitLifted = Static<typeof LimitLifted>;
