import { Type, type Static } from 'typebox';
import { TASK_ERRORS, type TaskErrorCode } from '../wire/errors.js';

/** The errors after which another attempt may help. */
export const RETRYABLE: readonly TaskErrorCode[] = (Object.keys(TASK_ERRORS) as TaskErrorCode[]).filter(
  (code) => TASK_ERRORS[code].retryable,
);

/** What a task allows and does when something goes wrong. Every field has a default. */
export const Policy = Type.Object(
  {
    max_attempts: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 3,
        description:
          'Attempts that may fail before the task is given up. Those that a shutdown, a lost worker or the broker ended do not count.',
      }),
    ),
    backoff: Type.Optional(
      Type.Object(
        {
          base_s: Type.Optional(Type.Number({ minimum: 0, maximum: 3600, default: 2 })),
          factor: Type.Optional(Type.Number({ minimum: 1, maximum: 10, default: 2 })),
          max_s: Type.Optional(Type.Number({ minimum: 0, maximum: 86_400, default: 300 })),
        },
        {
          additionalProperties: false,
          description:
            'The wait before attempt n + 1: a random part of base_s · factor^(n - 1), which max_s bounds. Where Claude names a later time (a usage limit that is reset), that is waited for.',
        },
      ),
    ),
    retry_on: Type.Optional(
      Type.Array(Type.Enum(Object.keys(TASK_ERRORS) as TaskErrorCode[]), {
        maxItems: 64,
        description: `Errors after which it is tried again. Default: ${RETRYABLE.join(', ')}.`,
      }),
    ),
    timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 3600,
        description:
          'Longest time of one attempt, without the time for which people are asked (`approvals`). Half of KSI_EVENTS_MAX_AGE_S bounds it.',
      }),
    ),
    queue_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 31_536_000,
        description:
          'Longest time from acceptance to the start; a task whose turn comes later expires. Half of KSI_EVENTS_MAX_AGE_S bounds it, and is the default.',
      }),
    ),
    idle_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 900,
        description:
          'Longest silence of Claude within an attempt. A tool that runs is silence: its default leaves room for the ten minutes that Bash may take.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Policy = Static<typeof Policy>;
