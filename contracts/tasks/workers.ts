import { Type, type Static } from 'typebox';
import { pageOf } from '../wire/page.js';

/** How often a worker says that it is there, in seconds. */
export const PRESENCE_S = 5;
/** A worker that has been silent for so many seconds is shown as lost; its entry goes after another while. */
export const LOST_AFTER_S = 3 * PRESENCE_S;
export const PRESENCE_TTL_S = 12 * PRESENCE_S;

/** From the strongest to the weakest. */
export const CONTAINMENTS = ['sandbox', 'pid_namespace', 'process_group'] as const;

const fields = {
  worker_id: Type.String(),
  host: Type.String(),
  pid: Type.Integer(),
  concurrency: Type.Integer({ description: 'Runs at once.' }),
  running: Type.Integer({ description: 'Runs under way.' }),
  queues: Type.Array(Type.String()),
  containment: Type.Enum([...CONTAINMENTS], {
    description:
      "What holds Claude's processes: a sandbox that ends with the run and hides KSI's files; a PID namespace, which hides nothing; a process group with a guard process.",
  }),
  started_at: Type.String({ format: 'date-time' }),
};

const clock = {
  clock_ahead_ms: Type.Optional(
    Type.Integer({ description: "By how many ms its host's clock is ahead of the broker's, by which KSI goes." }),
  ),
};

/** A file or folder that a worker could not remove. */
export const LeftoverFolder = Type.Object({
  path: Type.String({ description: 'On the host.' }),
  reason: Type.String({ description: "The code of the system's error, such as `EPERM` at an immutable file." }),
  slot: Type.Optional(Type.Integer({ description: 'Whose run left it. The slot takes no runs until it is removed.' })),
  session_id: Type.Optional(Type.String({ description: 'Of a deleted session.' })),
});
export type LeftoverFolder = Static<typeof LeftoverFolder>;

const disk = {
  out_of_service: Type.Optional(
    Type.Integer({
      minimum: 1,
      description: 'Slots that take no runs, as what their last run left could not be removed.',
    }),
  ),
  left: Type.Optional(
    Type.Array(LeftoverFolder, {
      description: 'What could not be removed, or the first of it. The worker tries again.',
    }),
  ),
};

const shortage = {
  short_of: Type.Optional(
    Type.String({
      description: 'What its host was short of when it last tried to run a task; it takes tasks more slowly.',
    }),
  ),
};

const limit = {
  limited_until: Type.Optional(
    Type.String({ format: 'date-time', description: 'A usage limit of Claude holds until then: it takes no tasks.' }),
  ),
};

/** A worker's entry in `ksi_workers`, written by itself every PRESENCE_S; nothing is decided by it. */
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
    description: `\`lost\`: silent for ${LOST_AFTER_S} s; its tasks run elsewhere after their leases.`,
  }),
  seen_at: Type.String({ format: 'date-time' }),
});
export type WorkerView = Static<typeof WorkerView>;

export const WorkerPage = pageOf(WorkerView, {});
export type WorkerPage = Static<typeof WorkerPage>;

export const LimitLifted = Type.Object({
  workers: Type.Array(Type.String(), { description: 'Those that a usage limit kept from taking tasks.' }),
});
export type LimitLifted = Static<typeof LimitLifted>;
