import type { OPERATIONS } from '../../contracts/api/operations.js';
import type { Handlers } from '../access/handlers.js';
import { accessHandlers } from '../access/operations.js';
import { agentHandlers, identityHandlers, profileHandlers, sharedHandlers } from '../agents/operations.js';
import { conversationHandlers } from '../conversations/operations.js';
import { promptHandlers } from '../prompts/operations.js';
import { retentionHandlers } from '../retention/operations.js';
import { sessionHandlers } from '../sessions/operations.js';
import { approvalHandlers, deadLetterHandlers, taskHandlers } from '../tasks/operations.js';
import { healthView, type HealthServices } from './health.js';

export type OperationHandlers = Handlers<typeof OPERATIONS>;

type Services<F extends (services: never) => unknown> = Parameters<F>[0];
type HandlerServices = Services<typeof taskHandlers> &
  Services<typeof approvalHandlers> &
  Services<typeof deadLetterHandlers> &
  Services<typeof sessionHandlers> &
  Services<typeof retentionHandlers> &
  Services<typeof agentHandlers> &
  Services<typeof sharedHandlers> &
  Services<typeof identityHandlers> &
  Services<typeof profileHandlers> &
  Services<typeof promptHandlers> &
  Services<typeof conversationHandlers> &
  Services<typeof accessHandlers> &
  HealthServices;

/** Collects the handlers of all operations from their domains. */
export const handlersOf = (services: HandlerServices): OperationHandlers => ({
  ...taskHandlers(services),
  ...approvalHandlers(services),
  ...deadLetterHandlers(services),
  ...sessionHandlers(services),
  ...retentionHandlers(services),
  ...agentHandlers(services),
  ...sharedHandlers(services),
  ...identityHandlers(services),
  ...profileHandlers(services),
  ...promptHandlers(services),
  ...conversationHandlers(services),
  ...accessHandlers(services),
  health: () => healthView(services),
});
