import { healthOf } from '../health.js';
import { queuesOf } from '../queues.js';
import { liftLimit, workersOf } from '../workers.js';
import type { Handlers } from './handler.js';

export const systemHandlers = {
  workers: async (_request, { context }) => ({ workers: await workersOf(context.broker) }),
  limit_lift: (_request, { principal, context }) => liftLimit(context.broker, principal),
  queues: async (_request, { context }) => ({ queues: await queuesOf(context) }),
  health: (_request, { context }) => healthOf(context),
} satisfies Partial<Handlers>;
