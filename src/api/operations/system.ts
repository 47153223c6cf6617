import { healthOf } from '../health.js';
import { queuesOf } from '../../tasks/queues.js';
import { liftLimit, workersOf } from '../../tasks/workers.js';
import { workspacesOf } from '../../tasks/workspaces.js';
import type { Handlers } from './handler.js';

export const systemHandlers = {
  workers: async (_request, { context }) => ({ workers: await workersOf(context.broker) }),
  limit_lift: (_request, { principal, context }) => liftLimit(context.broker, principal),
  queues: async (_request, { principal, context }) => ({
    queues: await queuesOf(context),
    workspaces: await workspacesOf(context, principal),
  }),
  retention: (_request, { principal, context }) => context.retention.show(principal),
  retention_set: (ages, { principal, context }) => context.retention.set(ages, principal),
  retention_preview: (query, { principal, context }) => context.retention.preview(query, principal),
  retention_run: (_request, { principal, context }) => context.retention.run(principal),
  health: (_request, { context }) => healthOf(context),
} satisfies Partial<Handlers>;
