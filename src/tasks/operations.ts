import type { EVENT_OPERATIONS } from '../../contracts/events/operations.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import type { Config } from '../../contracts/config/config.js';
import type { APPROVAL_OPERATIONS } from '../../contracts/tasks/approval-operations.js';
import type { DEAD_LETTER_OPERATIONS } from '../../contracts/tasks/dead-letter-operations.js';
import type { TASK_OPERATIONS } from '../../contracts/tasks/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Access } from '../access/start.js';
import type { Broker } from '../broker/connect.js';
import { ApiError } from '../errors/api-error.js';
import { pageOfAll } from '../lists/page.js';
import type { Store } from '../store/start.js';
import type { Metrics } from '../telemetry/metrics.js';
import { settledSequenceOf } from './event-cursor.js';
import { eventPage } from './event-page.js';
import { queuesOf } from './queues.js';
import { outcomeWithin, spawn, taskWithin } from './spawn.js';
import type { Tasks } from './start.js';
import { liftLimit, workersOf } from './workers.js';
import { workspacesOf } from './workspaces.js';
import { defined } from '../defined.js';

interface TaskHandling
  extends
    Pick<Tasks, 'acceptor' | 'once' | 'tasks' | 'canceller' | 'interrupter' | 'inputs' | 'retrier'>,
    Pick<Access, 'spawnRate' | 'authenticator'>,
    Pick<Store, 'hub' | 'model'> {
  readonly broker: Broker;
  readonly config: Config;
  readonly metrics: Metrics;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

export const taskHandlers = (services: TaskHandling): Handlers<typeof TASK_OPERATIONS & typeof EVENT_OPERATIONS> => {
  const { broker, hub, tasks, canceller, interrupter, inputs, retrier } = services;
  return {
    spawn: async ({ wait = 0, ...request }, call) => {
      const { accepted } = await spawn(services, request, call.principal, call);
      return wait === 0 ? accepted : outcomeWithin(services, accepted, call.principal, wait, call.signal);
    },
    // Of a limited answer, half is for outputs and half for the other fields.
    tasks: (query, { principal, maxBytes }) =>
      tasks.page(query, principal, maxBytes === undefined ? undefined : maxBytes / 2),
    task: ({ id, wait = 0 }, { principal, signal }) =>
      wait === 0 ? tasks.task(id, principal) : taskWithin(services, id, principal, wait, signal),
    task_events: async ({ id, cursor, limit }, { principal }) => {
      await tasks.task(id, principal);
      const after = cursor === undefined ? 0 : await settledSequenceOf(cursor, hub);
      const { events, more } = await eventPage(hub, id, after, limit);
      return defined({
        items: events.map(({ envelope }) => JSON.parse(envelope) as EventEnvelope),
        next_cursor: more,
      });
    },
    task_output: async ({ id }, { principal }) => {
      const { output, output_ref: large } = await tasks.task(id, principal);
      if (large !== undefined)
        throw new ApiError(
          'answer_too_large',
          `The output has ${large.size} bytes, too many for this answer. Read it over HTTP`,
        );
      if (output === undefined) throw new ApiError('not_found', `The task ${id} has no output`);
      return output;
    },
    // Only bodies that are too large for a message are stored apart from their event.
    task_event_body: () => {
      throw new ApiError(
        'answer_too_large',
        'The body is too large for this answer. Read it over HTTP, or from the object store ksi_blobs',
      );
    },
    cancel: ({ id }, { principal }) => canceller.cancel(id, principal),
    interrupt: ({ id }, { principal }) => interrupter.interrupt(id, principal),
    input: ({ id, text }, { principal }) => inputs.say(id, text, principal),
    retry: ({ id }, { principal }) => retrier.retry(id, principal),
    workers: async (query) =>
      pageOfAll(
        'workers',
        await workersOf(broker),
        ({ started_at: started, worker_id: id }) => `${started} ${id}`,
        query,
      ),
    limit_lift: (_request, { principal }) => liftLimit(broker, principal),
    queues: async (query) => pageOfAll('queues', await queuesOf(services), ({ queue }) => queue, query),
    workspaces: async (query, { principal }) =>
      pageOfAll('workspaces', await workspacesOf(services, principal), ({ workspace }) => workspace, query),
  };
};

export const approvalHandlers = ({
  approvals,
  approvalRules,
}: Pick<Tasks, 'approvals' | 'approvalRules'>): Handlers<typeof APPROVAL_OPERATIONS> => ({
  approvals: (query, { principal }) => approvals.page(query, principal),
  approval_rules: (query, { principal }) => approvalRules.page(query, principal),
  approval_rule_delete: ({ id }, { principal }) => approvalRules.remove(id, principal),
  approve: ({ id, ...answer }, { principal }) => approvals.answer(id, answer, principal),
});

export const deadLetterHandlers = ({ dead }: Pick<Tasks, 'dead'>): Handlers<typeof DEAD_LETTER_OPERATIONS> => ({
  dead: (query, { principal }) => dead.page(query, principal),
  dead_letter: ({ id }, { principal }) => dead.letter(id, principal),
  dead_retry: async ({ id }, { principal }) => (await dead.putBack(id, principal)).accepted,
  dead_retry_all: (request, { principal }) => dead.putBackAll(request, principal),
  dead_delete: ({ id }, { principal }) => dead.delete(id, principal),
});
