import { Svcm, type ServiceMsg } from '@nats-io/services';
import { Type, type TSchema } from 'typebox';
import type { Logger } from 'pino';
import { uuidv7 } from '../../uuid.js';
import { OPERATIONS, type OperationName } from '../../../contracts/api/operations.js';
import { check } from '../../../contracts/wire/check.js';
import { HEADER, IDEMPOTENCY_HEADER, SERVICE } from '../../../contracts/wire/names.js';
import { requestSchema, type Operation } from '../../../contracts/wire/operation.js';
import type { Audit } from '../../access/audit.js';
import type { Call } from '../../access/handlers.js';
import { LOCAL } from '../../access/principal.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import { toApiError } from '../../errors/problem.js';
import type { Service } from '../../process/lifecycle.js';
import { recordOperation } from '../record-operation.js';
import type { OperationHandlers } from '../handlers.js';
import { traceparentFrom } from '../../telemetry/correlation.js';
import { headerIn, refuse, requestIdIn, requestIn, respond } from './answer.js';

interface NatsServices {
  readonly broker: Broker;
  readonly audit: Audit;
  readonly log: Logger;
}

/** Bytes of `max_payload` that are left for headers. */
const HEADROOM = 4_096;

/**
 * Starts this API's instance of the NATS service `ksi`. The broker does the authorization: only the operator's user may publish to the
 * service's subjects. `stop` resolves when all accepted requests are answered.
 */
export async function startNatsService(services: NatsServices, handlers: OperationHandlers): Promise<Service> {
  const { broker, log } = services;
  const answering = new Set<Promise<void>>();
  const track = (answered: Promise<void>): void => {
    answering.add(answered);
    void answered.then(() => answering.delete(answered));
  };
  const service = await new Svcm(broker.nc).add({
    name: SERVICE.name,
    version: SERVICE.version,
    description: 'The operations of the KSI API',
    queue: SERVICE.name,
  });
  const group = service.addGroup(SERVICE.group);
  for (const [name, operation] of Object.entries(OPERATIONS) as [OperationName, Operation][]) {
    const answer = answerer(name, operation, services, handlers[name] as Handler);
    group.addEndpoint(name, {
      metadata: metadataOf(operation),
      handler: (error, message) => {
        if (error !== null) return log.error({ err: error }, 'a subscription of the NATS service failed');
        // A message that a consumer delivers to this subject is not a request (ADR 9).
        if (message.reply?.startsWith('$JS.') !== true) track(answer(message));
      },
    });
  }
  // The broker must know the subscriptions before this API reports that it is ready.
  await broker.nc.flush();
  return {
    stop: async () => {
      await service.stop();
      await Promise.all(answering);
    },
  };
}

type Handler = (request: unknown, call: Call) => unknown;

/** Returns the function that answers requests for an operation. The function never rejects. */
function answerer(
  name: OperationName,
  operation: Operation,
  { broker, audit, log }: NatsServices,
  handle: Handler,
): (message: ServiceMsg) => Promise<void> {
  const schema = requestSchema(operation);
  const run = async (message: ServiceMsg, requestId: string, maxBytes: number): Promise<unknown> => {
    let request: unknown;
    const record = (result: string, answer?: unknown): void =>
      recordOperation(audit, name, {
        principal: LOCAL,
        request,
        answer,
        result,
        over: 'nats',
        request_id: requestId,
      });
    try {
      request = requestIn(message);
      const checked = check(schema, request);
      if (!checked.ok) throw invalid(checked.faults);
      const answer = await handle(checked.value, callOf(message, maxBytes));
      record('ok', answer);
      return answer;
    } catch (thrown) {
      record(toApiError(thrown).code);
      throw thrown;
    }
  };
  return async (message) => {
    const requestId = requestIdIn(message);
    const maxBytes = (broker.nc.info?.max_payload ?? 1_048_576) - HEADROOM;
    try {
      const answer = await run(message, requestId, maxBytes);
      const body =
        operation.bytes === undefined ? bodyOf(operation, answer, maxBytes) : await bytesOf(answer, maxBytes);
      respond(message, body, requestId, log);
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500)
        log.error({ err: error, subject: message.subject, request_id: requestId }, 'a NATS request failed');
      refuse(message, error, requestId, log);
    }
  };
}

function callOf(message: ServiceMsg, maxBytes: number): Call {
  return {
    principal: LOCAL,
    id: uuidv7(),
    replayed: false,
    idempotencyKey: headerIn(message, IDEMPOTENCY_HEADER),
    traceparent: traceparentFrom(headerIn(message, HEADER.traceparent)),
    maxBytes,
    // NATS does not report that a caller has stopped waiting.
    signal: new AbortController().signal,
  };
}

/** Serializes an answer as over HTTP: text, JSON or an empty body. @throws {ApiError} answer_too_large */
function bodyOf({ text }: Operation, answer: unknown, maxBytes: number): string {
  const body = text !== undefined ? String(answer) : answer === undefined ? '' : JSON.stringify(answer);
  const bytes = Buffer.byteLength(body);
  if (bytes > maxBytes)
    throw new ApiError('answer_too_large', `The answer has ${bytes} bytes; a NATS message has at most ${maxBytes}`);
  return body;
}

/** Collects an answer that is a stream of bytes. @throws {ApiError} answer_too_large */
async function bytesOf(answer: unknown, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer as ReadableStream<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new ApiError(
        'answer_too_large',
        `The answer is larger than a NATS message, which has at most ${maxBytes} bytes`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The JSON schemas of the request and of its successful answer, as `nats micro info ksi` prints them. */
function metadataOf(operation: Operation): Record<string, string> {
  const { 204: _noContent, ...contents } = operation.answers;
  const [only, ...others] = Object.values<TSchema>(contents);
  return {
    summary: operation.summary,
    request_schema: JSON.stringify(requestSchema(operation)),
    ...(only === undefined
      ? {}
      : { response_schema: JSON.stringify(others.length === 0 ? only : Type.Union([only, ...others])) }),
  };
}
