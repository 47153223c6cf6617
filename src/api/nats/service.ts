import { Svcm, type ServiceMsg } from '@nats-io/services';
import { check } from '../../../contracts/wire/check.js';
import { IDEMPOTENCY_HEADER, SERVICE } from '../../../contracts/wire/names.js';
import { OPERATION_SCHEMAS, type AnswerOf, type RequestOf } from '../../../contracts/api/operation-schemas.js';
import { OPERATIONS, type Operation, type OperationName } from '../../../contracts/api/operations.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import { demand } from '../../access/auth.js';
import type { ApiContext } from '../context.js';
import { refuse, requestIn, respond } from './answer.js';
import type { Call } from '../operations/handler.js';
import { HANDLERS } from '../operations/handlers.js';
import { LOCAL, type Principal } from '../../access/principal.js';
import { toApiError } from '../../errors/problem.js';

/** An operation, by its name. */
interface Verb<N extends OperationName = OperationName> extends Operation {
  readonly name: N;
}

const VERBS: readonly Verb[] = Object.entries(OPERATIONS).map(([name, operation]) => ({
  ...operation,
  name: name as OperationName,
}));

/** What a message may take beside its body: subject, headers and the protocol's own. */
const HEADROOM = 4_096;

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
  const principal = LOCAL;
  let asked: unknown;
  try {
    if (verb.scope !== undefined) demand(principal, verb.scope);
    asked = requestIn(message);
    const done = await run(verb.name, asked, { principal, context, idempotencyKey: keyOf(message) });
    keep(verb, principal, targetOf(asked, done), 'ok', context);
    respond(message, fitting(bodyOf(verb, done), context), context.log);
  } catch (thrown) {
    const error = toApiError(thrown);
    keep(verb, principal, targetOf(asked, undefined), error.code, context);
    if (error.status >= 500) context.log.error({ err: error, subject: message.subject }, 'a NATS request failed');
    refuse(message, error, context.log);
  }
}

function keep(
  { name, changes }: Verb,
  { owner, tokenId }: Principal,
  target: string | undefined,
  result: string,
  { audit }: ApiContext,
): void {
  if (!changes) return;
  audit.record({
    owner,
    token_id: tokenId,
    verb: name,
    ...(target === undefined ? {} : { target }),
    result,
    over: 'nats',
  });
}

/** What a request made or changed, as HTTP's path or its answer say it. */
function targetOf(asked: unknown, done: unknown): string | undefined {
  const { task_id, token_id, message_id, conversation_id, agent_id } = (done ?? {}) as Record<string, unknown>;
  const { id, key, name, agent_id: agent } = (asked ?? {}) as Record<string, unknown>;
  const target = task_id ?? token_id ?? message_id ?? conversation_id ?? agent_id ?? id ?? key ?? name ?? agent;
  return typeof target === 'string' ? target : undefined;
}

/** @throws {ApiError} */
async function run<N extends OperationName>(name: N, asked: unknown, call: Call): Promise<AnswerOf<N>> {
  const request = check(OPERATION_SCHEMAS[name].request, asked);
  if (!request.ok) throw invalid(request.faults);
  return HANDLERS[name](request.value as RequestOf<N>, call);
}

function keyOf(message: ServiceMsg): string | undefined {
  const key = message.headers?.get(IDEMPOTENCY_HEADER) ?? '';
  return key === '' ? undefined : key;
}

/** As the body of HTTP: text, JSON or nothing. */
const bodyOf = ({ text }: Operation, done: unknown): string =>
  text === true ? String(done) : done === undefined ? '' : JSON.stringify(done);

/** @throws {ApiError} answer_too_large */
function fitting(body: string, { broker }: ApiContext): string {
  const most = (broker.nc.info?.max_payload ?? 1_048_576) - HEADROOM;
  const bytes = Buffer.byteLength(body);
  if (bytes > most) throw new ApiError('answer_too_large', `The answer has ${bytes} bytes, a message ${most} at most`);
  return body;
}
