import type { EventEnvelope } from '../../../contracts/events/events.js';
import { ApiError } from '../../errors/api-error.js';
import type { ApiContext } from '../context.js';
import { settledSequenceOf } from '../../tasks/event-cursor.js';
import { eventPage } from '../../tasks/event-page.js';
import { outcomeWithin, spawn } from '../../tasks/spawn.js';
import type { Handlers } from './handler.js';

/** What a page's outputs may take of an answer; the tasks' other fields take the rest. */
const halfMessage = ({ broker }: ApiContext): number => (broker.nc.info?.max_payload ?? 1_048_576) / 2;

export const taskHandlers = {
  spawn: async ({ wait = 0, ...request }, { principal, context, idempotencyKey }) => {
    const { accepted } = await spawn(context, request, principal, { idempotencyKey, traceparent: undefined });
    return wait === 0 ? accepted : outcomeWithin(context, accepted, principal, wait);
  },
  tasks: (query, { principal, context }) => context.tasks.page(query, principal, halfMessage(context)),
  task: ({ id }, { principal, context }) => context.tasks.task(id, principal),
  task_events: async ({ id, since, limit }, { principal, context: { tasks, hub } }) => {
    await tasks.task(id, principal);
    const after = since === undefined ? 0 : await settledSequenceOf(since, hub);
    const { events, more } = await eventPage(hub, id, after, limit);
    return {
      events: events.map(({ envelope }) => JSON.parse(envelope) as EventEnvelope),
      ...(more === undefined ? {} : { cursor: more }),
    };
  },
  task_output: async ({ id }, { principal, context }) => {
    const { output, output_ref: large } = await context.tasks.task(id, principal);
    if (large !== undefined) throw new ApiError('answer_too_large', `The output has ${large.size} bytes`);
    if (output === undefined) throw new ApiError('not_found', `The task ${id} has no output`);
    return output;
  },
  // Only large ones are apart from their event.
  task_event_body: () => {
    throw new ApiError('answer_too_large', 'The body lies in the object store ksi_blobs');
  },
  task_delete: ({ id }, { principal, context }) => context.deleter.task(id, principal),
  tasks_delete: (query, { principal, context }) => context.deleter.matching(query, principal),
  cancel: ({ id }, { principal, context }) => context.canceller.cancel(id, principal),
  interrupt: ({ id }, { principal, context }) => context.interrupter.interrupt(id, principal),
  input: ({ id, text }, { principal, context }) => context.inputs.say(id, text, principal),
  retry: ({ id }, { principal, context }) => context.retrier.retry(id, principal),
  approvals: (_request, { principal, context }) => ({ approvals: context.approvals.list(principal) }),
  approval_rules: async (_request, { principal, context }) => ({ rules: await context.approvalRules.list(principal) }),
  approval_rule_delete: ({ id }, { principal, context }) => context.approvalRules.remove(id, principal),
  approve: ({ id, ...answer }, { principal, context }) => context.approvals.answer(id, answer, principal),
} satisfies Partial<Handlers>;
