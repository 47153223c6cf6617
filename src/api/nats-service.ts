import { Svcm, type Service, type ServiceMsg } from '@nats-io/services';
import { headers } from '@nats-io/transport-node';
import type { Static, TSchema } from 'typebox';
import { check } from '../../contracts/check.js';
import { API_ERRORS } from '../../contracts/errors.js';
import { type SpawnAccepted, TaskParams, TasksQuery } from '../../contracts/http.js';
import { IDEMPOTENCY_HEADER } from '../../contracts/idempotency.js';
import { SERVICE } from '../../contracts/names.js';
import { SpawnRequest } from '../../contracts/spawn.js';
import { ApiError, invalid } from './api-error.js';
import type { ApiContext } from './context.js';
import { LOCAL, type Principal } from './principal.js';
import { problemOf, toApiError } from './problems.js';

interface Verb<S extends TSchema = TSchema> {
  readonly name: string;
  readonly schema: S;
  readonly run: (
    request: Static<S>,
    principal: Principal,
    context: ApiContext,
    message: ServiceMsg,
  ) => Promise<unknown>;
}

const verb = <S extends TSchema>(name: string, schema: S, run: Verb<S>['run']): Verb => ({ name, schema, run }) as Verb;

/** `ksi.api.<verb>`: the schemas, checks and answers of HTTP. */
const VERBS: readonly Verb[] = [
  verb('spawn', SpawnRequest, spawn),
  verb('task', TaskParams, ({ id }, principal, { tasks }) => tasks.task(id, principal)),
  verb('tasks', TasksQuery, (query, principal, { tasks }) => tasks.page(query, principal)),
  verb('cancel', TaskParams, ({ id }, principal, { canceller }) => canceller.cancel(id, principal)),
  verb('retry', TaskParams, ({ id }, principal, { retrier }) => retrier.retry(id, principal)),
  verb('interrupt', TaskParams, ({ id }, principal, { interrupter }) => interrupter.interrupt(id, principal)),
];

async function spawn(
  request: SpawnRequest,
  principal: Principal,
  { acceptor, once }: ApiContext,
  message: ServiceMsg,
): Promise<SpawnAccepted> {
  const key = message.headers?.get(IDEMPOTENCY_HEADER) ?? '';
  return key === '' ? acceptor.accept(request, principal) : (await once.accept(request, principal, key)).accepted;
}

/** The NATS service `ksi`, shared by all APIs. Who may call is the broker's to check: only the operator's user can publish there. */
export async function startNatsService(context: ApiContext): Promise<Service> {
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
        if (error === null) void answer(each, message, context);
        else context.log.error({ err: error }, 'the NATS service failed');
      },
    });
  }
  return service;
}

async function answer({ schema, run }: Verb, message: ServiceMsg, context: ApiContext): Promise<void> {
  try {
    const request = check(schema, parse(message));
    if (!request.ok) throw invalid(request.faults);
    message.respond(JSON.stringify(await run(request.value, LOCAL, context, message)));
  } catch (thrown) {
    const error = toApiError(thrown);
    if (error.status >= 500) context.log.error({ err: error, subject: message.subject }, 'a NATS request failed');
    // The service protocol's headers, and the problem document that HTTP gives.
    const reply = headers();
    reply.set('Nats-Service-Error', API_ERRORS[error.code].title);
    reply.set('Nats-Service-Error-Code', String(error.status));
    message.respond(JSON.stringify(problemOf(error)), { headers: reply });
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
