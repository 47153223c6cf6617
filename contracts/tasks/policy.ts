import { Type, type Static } from 'typebox';
import { TASK_ERRORS, type TaskErrorCode } from '../wire/errors.js';

/** The errors after which another attempt may help. */
export const RETRYABLE: readonly TaskErrorCode[] = (Object.keys(TASK_ERRORS) as TaskErrorCode[]).filter(
  (code) => TASK_ERRORS[code].retryable,
);

/** The retry and timeout policy of a task. Every field has a default. */
export const Policy = Type.Object(
  {
    max_attempts: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        default: 3,
        description:
          'The number of failed attempts after which the task is given up. Attempts that ended because of a shutdown, a lost worker or the broker do not count.',
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
            'The wait before attempt n + 1: a random fraction of base_s · factor^(n - 1), at most max_s. If Claude names a later time, such as the reset of a usage limit, the task waits until then.',
        },
      ),
    ),
    retry_on: Type.Optional(
      Type.Array(Type.Enum(Object.keys(TASK_ERRORS) as TaskErrorCode[]), {
        maxItems: 64,
        description: `Errors after which the task is retried. Default: ${RETRYABLE.join(', ')}.`,
      }),
    ),
    timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 3600,
        description:
          'Maximum duration of one attempt, not counting the time that it waits for approvals. At most half of KSI_EVENTS_MAX_AGE_S.',
      }),
    ),
    queue_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 31_536_000,
        description:
          'Maximum time from acceptance to the start. A task that has not started by then expires. Default and maximum: half of KSI_EVENTS_MAX_AGE_S.',
      }),
    ),
    idle_timeout_s: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        default: 900,
        description:
          'Maximum time without output from Claude within an attempt. A running tool produces no output: the default leaves room for the ten minutes that Bash may take.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Policy = Static<typeof Policy>;
