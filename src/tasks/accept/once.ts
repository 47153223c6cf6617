import type { Logger } from 'pino';
import { IDEMPOTENCY_KEY_PATTERN, type IdempotencyRecord } from '../../../contracts/tasks/idempotency.js';
import type { SpawnAccepted } from '../../../contracts/api/http.js';
import type { TaskMessage } from '../../../contracts/tasks/message.js';
import { FORMAT_VERSION, IDEMPOTENCY_HEADER } from '../../../contracts/wire/names.js';
import type { SpawnCommand, SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { TaskStatus } from '../../../contracts/tasks/states.js';
import type { Broker } from '../../broker/connect.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import { lastStateOf, type LastState } from '../state.js';
import type { Acceptor } from './accept.js';
import {
  handsSubject,
  messageSubject,
  putBackSubject,
  recordSubject,
  requestHash,
  type Held,
  type IdempotencyRecords,
} from './idempotency-records.js';
import { acceptedOf, identityOf, type Origin, type Prepared } from './prepared.js';

export interface AcceptedOnce {
  readonly accepted: SpawnAccepted;
  /** An earlier request with the key made the task. */
  readonly replayed: boolean;
}

/** Each try loses to another request with the same key, which gets somewhere. */
const MAX_TRIES = 20;
const KEY = new RegExp(IDEMPOTENCY_KEY_PATTERN);

/** What the task of a record needs, judged by its last state. Pure. */
type Need =
  /** It was accepted, though nobody has said so yet. */
  | 'mark'
  /** It may have got nowhere: it is stored again, which is harmless if it did. */
  | 'store'
  /** It must not run, if it hasn't started: another takes its place. */
  | 'replace';

export function needOf(
  state: IdempotencyRecord['state'],
  { status, reason }: Pick<LastState, 'status' | 'reason'>,
): Need {
  if (status === 'cancelled' && reason === 'not_accepted') return 'replace';
  // SPAWN_QUEUED is sent before the run: it proves nothing. SPAWN_WAITING comes after the entry.
  if (status === 'queued') return state === 'abandoned' ? 'replace' : 'store';
  if (status === 'waiting') return state === 'abandoned' ? 'replace' : 'mark';
  return 'mark';
}

/**
 * Takes in a request that has an idempotency key: the same key and body make one task, whatever dies in between
 * (docs/design/broker-protocol.md#idempotency). That a task was accepted is said only after its record says `stored`, and an API
 * that couldn't store it cancels it only after the record says `abandoned`: so never both.
 */
export class OnceAcceptor {
  readonly #broker: Broker;
  readonly #acceptor: Acceptor;
  readonly #records: IdempotencyRecords;
  readonly #log: Logger;

  constructor(broker: Broker, acceptor: Acceptor, records: IdempotencyRecords, log: Logger) {
    this.#broker = broker;
    this.#acceptor = acceptor;
    this.#records = records;
    this.#log = log;
  }

  /** @throws {ApiError} */
  async accept(request: SpawnRequest, principal: Principal, key: string, traceparent?: string): Promise<AcceptedOnce> {
    if (!KEY.test(key))
      throw invalid([{ field: IDEMPOTENCY_HEADER, message: 'must be 1 to 255 visible ASCII characters' }]);
    const prepared = await this.#acceptor.prepare(request, principal);
    return this.#accept(recordSubject(principal.owner, key), requestHash(request), prepared, traceparent);
  }

  /** Puts a dead letter's task back: as one with the letter as its key, so that a crash never puts it back twice. @throws {ApiError} */
  async putBack(
    request: SpawnRequest,
    principal: Principal,
    taskId: string,
    ofAgent?: Origin['ofAgent'],
  ): Promise<AcceptedOnce> {
    const origin = { retryOf: taskId, ...(ofAgent === undefined ? {} : { ofAgent }) };
    const prepared = await this.#acceptor.prepare(request, principal, origin);
    return this.#accept(putBackSubject(taskId), requestHash(request), prepared, undefined);
  }

  /**
   * Makes the task of a message to a managed agent, as one with both as its key. Whatever the agent's options are by the time it is
   * tried again: it is the same message. @throws {ApiError}
   */
  async ofMessage(
    request: SpawnRequest,
    principal: Principal,
    ofAgent: {
      readonly agent_id: string;
      readonly message: TaskMessage;
      readonly hands?: string[];
      readonly exchange_id: string;
    },
    traceparent?: string,
  ): Promise<AcceptedOnce> {
    const { agent_id: agentId, message } = ofAgent;
    const prepared = await this.#acceptor.prepare(request, principal, { ofAgent });
    return this.#accept(messageSubject(agentId, message.message_id), message.message_id, prepared, traceparent);
  }

  /** Makes the task that an agent asks for by its own hands, as one with the call as its key. @throws {ApiError} */
  async byHands(
    request: SpawnRequest,
    principal: Principal,
    { key, ofAgent }: { readonly key: string; readonly ofAgent: Origin['ofAgent'] },
  ): Promise<AcceptedOnce> {
    const prepared = await this.#acceptor.prepare(request, principal, ofAgent === undefined ? {} : { ofAgent });
    return this.#accept(handsSubject(key), requestHash(request), prepared, undefined);
  }

  async #accept(
    subject: string,
    body: string,
    prepared: Prepared,
    traceparent: string | undefined,
  ): Promise<AcceptedOnce> {
    try {
      for (let tries = 1; tries <= MAX_TRIES; tries++) {
        const done = await this.#try(subject, body, prepared, traceparent);
        if (done !== undefined) return done;
      }
    } catch (error) {
      throw this.#acceptor.refusal(error);
    }
    throw new ApiError('conflict', 'Too many requests with this idempotency key at once');
  }

  /** @returns undefined when another request with the key was in between. */
  async #try(
    subject: string,
    body: string,
    prepared: Prepared,
    traceparent: string | undefined,
  ): Promise<AcceptedOnce | undefined> {
    const held = await this.#records.read(subject);
    if (held === undefined) {
      await this.#acceptor.takePlace(prepared);
      const made = await this.#records.create(subject, recordOf(prepared, body));
      return made === undefined ? undefined : this.#store(made, prepared, false, traceparent);
    }
    const { record } = held;
    if (record.body !== body)
      throw new ApiError('idempotency_mismatch', `The key made task ${record.task_id}, from another request`);
    const earlier = preparedOf(record, prepared);
    if (record.state === 'stored') return { accepted: acceptedOf(earlier, record.status ?? 'queued'), replayed: true };
    const need = needOf(record.state, await lastStateOf(this.#broker, record.task_id));
    this.#log.info({ task_id: record.task_id, state: record.state, need }, 'a request is taken up that was left');
    if (need === 'store' && prepared.refused !== undefined) throw prepared.refused;
    if (need === 'store') return this.#store(held, earlier, true, traceparent);
    if (need === 'replace' && (await this.#acceptor.cancelNotAccepted(identityOf(earlier.command)))) {
      await this.#acceptor.takePlace(prepared);
      // Not the id that was made for this request: a turn before may have used that up.
      const another = { ...prepared, command: { ...prepared.command, task_id: this.#acceptor.newId() } };
      const made = await this.#records.change(held, recordOf(another, body));
      return made === undefined ? undefined : this.#store(made, another, false, traceparent);
    }
    // Its run has begun, at least: whoever cancels it as not accepted sees that too.
    const { status } = await lastStateOf(this.#broker, record.task_id);
    return this.#mark(held, earlier, status, true);
  }

  async #store(
    held: Held,
    prepared: Prepared,
    again: boolean,
    traceparent: string | undefined,
  ): Promise<AcceptedOnce | undefined> {
    return this.#acceptor.storeOnce(prepared, {
      traceparent,
      abandon: () => this.#records.abandon(held),
      confirm: (status) => this.#mark(held, prepared, status, again),
    });
  }

  async #mark(
    held: Held,
    prepared: Prepared,
    status: TaskStatus,
    replayed: boolean,
  ): Promise<AcceptedOnce | undefined> {
    const marked = await this.#records.change(held, { state: 'stored', status });
    return marked === undefined ? undefined : { accepted: acceptedOf(prepared, status), replayed };
  }
}

const recordOf = ({ command, since }: Prepared, body: string): IdempotencyRecord => ({
  v: FORMAT_VERSION,
  body,
  task_id: command.task_id,
  session_id: command.session_id,
  accepted_at: command.accepted_at,
  ...(command.start_by === undefined ? {} : { start_by: command.start_by }),
  since,
  state: 'open',
});

/** The request as it was prepared by who made the record: the same task, to the byte. */
const preparedOf = (
  { task_id, session_id, accepted_at, start_by, since }: IdempotencyRecord,
  { command, principal }: Prepared,
): Prepared => {
  const same: SpawnCommand = {
    ...command,
    task_id,
    session_id,
    accepted_at,
    ...(start_by === undefined ? {} : { start_by }),
  };
  return { command: same, fresh: false, since, principal };
};
