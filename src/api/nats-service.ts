import { Svcm, type ServiceMsg } from '@nats-io/services';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { Type, type Static, type TSchema } from 'typebox';
import { ApprovalAnswer, ApprovalParams } from '../../contracts/approvals.js';
import { check } from '../../contracts/check.js';
import { API_ERRORS } from '../../contracts/errors.js';
import { DeadQuery, InputRequest, SessionParams, TaskParams, TasksQuery } from '../../contracts/http.js';
import { IDEMPOTENCY_HEADER } from '../../contracts/idempotency.js';
import { SERVICE } from '../../contracts/names.js';
import { SessionsQuery } from '../../contracts/sessions.js';
import { SpawnRequest } from '../../contracts/spawn.js';
import type { Scope } from '../../contracts/tokens.js';
import { UsageQuery } from '../../contracts/usage.js';
import { ApiError, invalid } from './api-error.js';
import { demand } from './auth.js';
import type { ApiContext } from './context.js';
import { LOCAL, type Principal } from './principal.js';
import { problemOf, toApiError } from './problems.js';
import { spawn } from './spawn.js';
import { usageOf } from './usage.js';
import { workersOf } from './workers.js';

interface Verb<S extends TSchema = TSchema> {
  readonly name: string;
  readonly schema: S;
  readonly scope: Scope;
  /** Kept in the audit. */
  readonly changes: boolean;
  readonly run: (
    request: Static<S>,
    principal: Principal,
    context: ApiContext,
    message: ServiceMsg,
  ) => Promise<unknown>;
}

const read = <S extends TSchema>(name: string, schema: S, run: Verb<S>['run']): Verb =>
  ({ name, schema, scope: 'read', changes: false, run }) as Verb;
const change = <S extends TSchema>(name: string, schema: S, run: Verb<S>['run']): Verb =>
  ({ name, schema, scope: 'spawn', changes: true, run }) as Verb;

const NoFields = Type.Object({}, { additionalProperties: false });

/** What HTTP has in the path stands beside the body's fields. */
const InputVerb = Type.Object(
  { ...TaskParams.properties, ...InputRequest.properties },
  { additionalProperties: false },
);
const ApproveVerb = Type.Object(
  { ...ApprovalParams.properties, ...ApprovalAnswer.properties },
  { additionalProperties: false },
);

/** `ksi.api.<verb>`: the schemas, checks and answers of HTTP. */
const VERBS: readonly Verb[] = [
  change('spawn', SpawnRequest, async (request, principal, context, message) => {
    const key = message.headers?.get(IDEMPOTENCY_HEADER) ?? '';
    const headers = { idempotencyKey: key === '' ? undefined : key, traceparent: undefined };
    return (await spawn(context, request, principal, headers)).accepted;
  }),
  read('task', TaskParams, ({ id }, principal, { tasks }) => tasks.task(id, principal)),
  read('tasks', TasksQuery, (query, principal, { tasks }) => tasks.page(query, principal)),
  change('cancel', TaskParams, ({ id }, principal, { canceller }) => canceller.cancel(id, principal)),
  change('retry', TaskParams, ({ id }, principal, { retrier }) => retrier.retry(id, principal)),
  change('interrupt', TaskParams, ({ id }, principal, { interrupter }) => interrupter.interrupt(id, principal)),
  change('input', InputVerb, ({ id, text }, principal, { inputs }) => inputs.say(id, text, principal)),
  read('approvals', NoFields, (_request, principal, { approvals }) =>
    Promise.resolve({ approvals: approvals.list(principal) }),
  ),
  {
    ...change('approve', ApproveVerb, ({ id, ...answer }, principal, { approvals }) =>
      approvals.answer(id, answer, principal),
    ),
    scope: 'approve',
  },
  read('sessions', SessionsQuery, (query, principal, { sessions }) => sessions.page(query, principal)),
  read('session', SessionParams, ({ id }, principal, { sessions }) => sessions.one(id, principal)),
  read('usage', UsageQuery, (query, principal, { tail }) => usageOf(tail.model, query, principal)),
  read('workers', NoFields, async (_request, _principal, { broker }) => ({ workers: await workersOf(broker) })),
  read('dead', DeadQuery, (query, principal, { dead }) => dead.page(query, principal)),
];

export interface NatsService {
  /** Takes nothing more; resolves when all that it has taken is answered. */
  stop(): Promise<void>;
}

/** The NATS service `ksi`, shared by all APIs. Who may call is the broker's to check: only the operator's user can publish there. */
export async function startNatsService(context: ApiContext): Promise<NatsService> {
  const answering = new Set<Promise<void>>();
  const take = (each: Verb, message: ServiceMsg): void => {
    const answered = answer(each, message, context).finally(() => answering.delete(answered));
    answering.add(answered);
  };
  const service = await new Svcm(context.broker.nc).add({
    name: SERVICE.name,
    version: SERVICE.version,
    description: 'Commands of KSI, as over HTTP',
    queue: SERVICE.name,
  });
  const group = service.addGroup(SERVICE.group);
  for (const each of VERBS) {
    group.addEndpoint(each.name, {
      handler: (error, message) => {
        if (error !== null) context.log.error({ err: error }, 'the NATS service failed');
        // What a consumer delivers to this subject is no request (ADR 9).
        else if (message.reply?.startsWith('$JS.') !== true) take(each, message);
      },
    });
  }
  // Only once the broker knows of it is it there: who is told that this API is ready may ask at once.
  await context.broker.nc.flush();
  return {
    stop: async () => {
      await service.stop();
      await Promise.all(answering);
    },
  };
}

/** Never rejects. */
async function answer(verb: Verb, message: ServiceMsg, context: ApiContext): Promise<void> {
  const { schema, scope, run } = verb;
  const principal = LOCAL;
  try {
    demand(principal, scope);
    const request = check(schema, parse(message));
    if (!request.ok) throw invalid(request.faults);
    const done = await run(request.value, principal, context, message);
    keep(verb, principal, done, 'ok', context);
    respond(message, done, context);
  } catch (thrown) {
    const error = toApiError(thrown);
    keep(verb, principal, undefined, error.code, context);
    if (error.status >= 500) context.log.error({ err: error, subject: message.subject }, 'a NATS request failed');
    // The service protocol's headers, and the problem document that HTTP gives.
    const reply = headers();
    reply.set('Nats-Service-Error', API_ERRORS[error.code].title);
    reply.set('Nats-Service-Error-Code', String(error.status));
    respond(message, problemOf(error), context, reply);
  }
}

function keep(
  { name, changes }: Verb,
  { owner, tokenId }: Principal,
  done: unknown,
  result: string,
  { audit }: ApiContext,
): void {
  if (!changes) return;
  const { task_id: target } = (done ?? {}) as { task_id?: string };
  audit.record({
    owner,
    token_id: tokenId,
    verb: name,
    ...(target === undefined ? {} : { target }),
    result,
    over: 'nats',
  });
}

function respond(message: ServiceMsg, body: unknown, { log }: ApiContext, reply?: MsgHdrs): void {
  try {
    message.respond(JSON.stringify(body), reply === undefined ? {} : { headers: reply });
  } catch (error) {
    // The connection is closing, or the answer is larger than a message may be.
    log.warn({ err: error, subject: message.subject }, 'a NATS request was left without an answer');
  }
}

function parse(message: ServiceMsg): unknown {
  if (message.data.length === 0) return {};
  try {
    return message.json();
  } catch (cause) {
    throw new ApiError('invalid_json', 'The request is not JSON', { cause });
  }
}
