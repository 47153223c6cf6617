import { ACCESS_OPERATIONS } from '../access/operations.js';
import { IDENTITY_OPERATIONS } from '../agents/identity-operations.js';
import { AGENT_OPERATIONS } from '../agents/operations.js';
import { PROFILE_OPERATIONS } from '../agents/profile-operations.js';
import { SHARED_OPERATIONS } from '../agents/shared-operations.js';
import { CONVERSATION_OPERATIONS } from '../conversations/operations.js';
import { EVENT_OPERATIONS } from '../events/operations.js';
import { PROMPT_OPERATIONS } from '../prompts/operations.js';
import { RETENTION_OPERATIONS } from '../retention/operations.js';
import { SESSION_OPERATIONS } from '../sessions/operations.js';
import { APPROVAL_OPERATIONS } from '../tasks/approval-operations.js';
import { DEAD_LETTER_OPERATIONS } from '../tasks/dead-letter-operations.js';
import { TASK_OPERATIONS } from '../tasks/operations.js';
import type { AnswerIn, Operations, RequestIn } from '../wire/operation.js';
import { Health } from './health.js';

export const SYSTEM_OPERATIONS = {
  health: {
    method: 'GET',
    path: '/health',
    tag: 'System',
    summary: 'The state of this API and of its connection to the broker',
    answers: { 200: Health },
  },
} as const satisfies Operations;

/** All operations of the system, by name. */
export const OPERATIONS = {
  ...TASK_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...APPROVAL_OPERATIONS,
  ...SESSION_OPERATIONS,
  ...RETENTION_OPERATIONS,
  ...DEAD_LETTER_OPERATIONS,
  ...AGENT_OPERATIONS,
  ...CONVERSATION_OPERATIONS,
  ...ACCESS_OPERATIONS,
  ...SHARED_OPERATIONS,
  ...IDENTITY_OPERATIONS,
  ...PROFILE_OPERATIONS,
  ...PROMPT_OPERATIONS,
  ...SYSTEM_OPERATIONS,
} as const;

export type OperationName = keyof typeof OPERATIONS;
export type RequestOf<N extends OperationName> = RequestIn<(typeof OPERATIONS)[N]>;
export type AnswerOf<N extends OperationName> = AnswerIn<(typeof OPERATIONS)[N]>;
