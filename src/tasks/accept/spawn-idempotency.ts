import type { Logger } from 'pino';
import { IDEMPOTENCY_KEY_PATTERN, type IdempotencyRecord } from '../../../contracts/tasks/idempotency.js';
import type { SourceMessage } from '../../../contracts/tasks/message.js';
import { FORMAT_VERSION, IDEMPOTENCY_HEADER } from '../../../contracts/wire/names.js';
import type { SpawnCommand, SpawnRequest, SpawnAccepted } from '../../../contracts/tasks/spawn.js';
import type { TaskStatus } from '../../../contracts/tasks/states.js';
import type { IdKey } from '../../../contracts/wire/record-kind.js';
import type { Broker } from '../../broker/connect.js';
import { contend } from '../../broker/contention.js';
import type { Records } from '../../broker/records.js';
import { dataIn, identityOf, lastState, type LastState } from '../../broker/task-states.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import type { Principal } from '../../access/principal.js';
import type { Acceptor } from './acceptor.js';
import { clientKey, messageKey, putBackKey, requestHash, toolCallKey } from './idempotency-keys.js';
import { acceptedOf, type TaskOrigin, type PreparedTask } from './prepare.js';
import { defined } from '../../defined.js';

export interface AcceptedTask {
  readonly accepted: SpawnAccepted;
  /** An earlier request with the key created the task. */
  readonly replayed: boolean;
}

/** The records of idempotency keys. */
export type IdempotencyRecords = Records<typeof IdempotencyRecord, IdKey>;

/** A record with its revision, which the next write expects. */
interface VersionedKey {
  readonly key: IdKey;
  readonly revision: number;
  readonly record: IdempotencyRecord;
}

const KEY = new RegExp(IDEMPOTENCY_KEY_PATTERN);

/** Pure: what to do with a record that has no answer yet, by its task's last state. */
type Recovery =
  /** The task was accepted: mark the record as `stored`. */
  | 'mark'
  /** The task may not be stored: store it again, which is idempotent. */
  | 'store'
  /** The task must not run: cancel it and create another. */
  | 'replace';

export function recoveryOf(state: IdempotencyRecord['state'], last: Pick<LastState, 'status' | 'data'>): Recovery {
  const { status } = last;
  if (dataIn(last, 'cancelled').reason === 'not_accepted') return 'replace';
  // SPAWN_QUEUED is published before the run, so it does not prove that the run is stored. SPAWN_WAITING follows its entry.
  if (status === 'queued') return state === 'abandoned' ? 'replace' : 'store';
  if (status === 'waiting') return state === 'abandoned' ? 'replace' : 'mark';
  return 'mark';
}

/**
 * Accepts requests with idempotency keys: the same key and body create one task, even if an API crashes in between
 * (docs/design/broker-protocol.md#idempotency). A client gets its answer only after the record is `stored`, and an API cancels an
 * unconfirmed task only after the record is `abandoned`, so no task has both.
 */
export class IdempotentAcceptor {
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
  async accept(request: SpawnRequest, principal: Principal, key: string, traceparent?: string): Promise<AcceptedTask> {
    if (!KEY.test(key))
      throw invalid([{ field: IDEMPOTENCY_HEADER, message: 'must be 1 to 255 visible ASCII characters' }]);
    const prepared = await this.#acceptor.prepare(request, principal);
    return this.#accept(clientKey(principal.owner, key), requestHash(request), prepared, traceparent);
  }

  /** Puts a dead letter back. The letter is the key, so a crash does not put it back twice. @throws {ApiError} */
  async acceptForDeadLetter(
    request: SpawnRequest,
    principal: Principal,
    taskId: string,
    ofAgent?: TaskOrigin['ofAgent'],
  ): Promise<AcceptedTask> {
    const origin = defined({ retryOf: taskId, ofAgent });
    const prepared = await this.#acceptor.prepare(request, principal, origin);
    return this.#accept(putBackKey(taskId), requestHash(request), prepared, undefined);
  }

  /**
   * Creates the task of a message to a managed agent. Agent and message are the key. The body is the message id alone, because the agent's
   * options may change before a retry. @throws {ApiError}
   */
  async acceptForMessage(
    request: SpawnRequest,
    principal: Principal,
    ofAgent: {
      readonly agent_id: string;
      readonly message: SourceMessage;
      readonly agent_tools?: string[];
      readonly exchange_id: string;
    },
    traceparent?: string,
  ): Promise<AcceptedTask> {
    const { agent_id: agentId, message } = ofAgent;
    const prepared = await this.#acceptor.prepare(request, principal, { ofAgent });
    return this.#accept(messageKey(agentId, message.message_id), message.message_id, prepared, traceparent);
  }

  /** Creates the task of an agent's tool call. The call is the key. @throws {ApiError} */
  async acceptForToolCall(
    request: SpawnRequest,
    principal: Principal,
    { key, ofAgent }: { readonly key: string; readonly ofAgent: TaskOrigin['ofAgent'] },
  ): Promise<AcceptedTask> {
    const prepared = await this.#acceptor.prepare(request, principal, ofAgent === undefined ? {} : { ofAgent });
    return this.#accept(toolCallKey(key), requestHash(request), prepared, undefined);
  }

  async #accept(
    key: IdKey,
    body: string,
    prepared: PreparedTask,
    traceparent: string | undefined,
  ): Promise<AcceptedTask> {
    try {
      return await contend(() => this.#try(key, body, prepared, traceparent));
    } catch (error) {
      throw this.#acceptor.refusal(error);
    }
  }

  /** @returns undefined if another request changed the record meanwhile. */
  async #try(
    key: IdKey,
    body: string,
    prepared: PreparedTask,
    traceparent: string | undefined,
  ): Promise<AcceptedTask | undefined> {
    const { record, revision } = await this.#records.entry(key);
    if (record === undefined) {
      await this.#acceptor.reserveCapacity(prepared);
      const created = await this.#write(key, recordOf(prepared, body), revision);
      return created === undefined ? undefined : this.#store(created, prepared, false, traceparent);
    }
    const held = { key, revision, record };
    if (record.body !== body)
      throw new ApiError(
        'idempotency_mismatch',
        `The key was used for another request, which created task ${record.task_id}`,
      );
    const earlier = preparedOf(record, prepared);
    if (record.state === 'stored') return { accepted: acceptedOf(earlier, record.status ?? 'queued'), replayed: true };
    const need = recoveryOf(record.state, await lastState(this.#broker, record.task_id));
    this.#log.info({ task_id: record.task_id, state: record.state, need }, 'continuing an unfinished request');
    if (need === 'store' && prepared.refused !== undefined) throw prepared.refused;
    if (need === 'store') return this.#store(held, earlier, true, traceparent);
    if (need === 'replace' && (await this.#acceptor.cancelUnaccepted(identityOf(earlier.command)))) {
      await this.#acceptor.reserveCapacity(prepared);
      // A new id: an earlier round of `contend` may have used the prepared one.
      const another = { ...prepared, command: { ...prepared.command, task_id: this.#acceptor.newId() } };
      const created = await this.#write(key, recordOf(another, body), revision);
      return created === undefined ? undefined : this.#store(created, another, false, traceparent);
    }
    // The task has started or ended, so no API can cancel it as not accepted.
    const { status } = await lastState(this.#broker, record.task_id);
    return this.#mark(held, earlier, status, true);
  }

  async #store(
    held: VersionedKey,
    prepared: PreparedTask,
    again: boolean,
    traceparent: string | undefined,
  ): Promise<AcceptedTask | undefined> {
    return this.#acceptor.storeIdempotently(prepared, {
      traceparent,
      abandon: () => this.#abandon(held),
      confirm: (status) => this.#mark(held, prepared, status, again),
    });
  }

  async #mark(
    held: VersionedKey,
    prepared: PreparedTask,
    status: TaskStatus,
    replayed: boolean,
  ): Promise<AcceptedTask | undefined> {
    const marked = await this.#write(held.key, { ...held.record, state: 'stored', status }, held.revision);
    return marked === undefined ? undefined : { accepted: acceptedOf(prepared, status), replayed };
  }

  /** Prevents every later 202 for the task. @returns false if a client already has one. @throws {BrokerError} */
  async #abandon({ key, record: { task_id: taskId } }: VersionedKey): Promise<boolean> {
    const { record } = await this.#records.update(key, ({ record: current }) =>
      current?.task_id === taskId && current.state === 'open' ? { ...current, state: 'abandoned' } : undefined,
    );
    return record?.task_id !== taskId || record.state !== 'stored';
  }

  /** @returns undefined if the record's revision has changed. @throws {BrokerError} */
  async #write(key: IdKey, record: IdempotencyRecord, expected: number): Promise<VersionedKey | undefined> {
    const revision = await this.#records.put(key, record, expected);
    return revision === undefined ? undefined : { key, revision, record };
  }
}

const recordOf = ({ command, since }: PreparedTask, body: string): IdempotencyRecord =>
  defined({
    v: FORMAT_VERSION,
    body,
    task_id: command.task_id,
    session_id: command.session_id,
    accepted_at: command.accepted_at,
    start_by: command.start_by,
    since,
    state: 'open',
  });

/** Restores the request of the record's creator: the command is identical, byte for byte. */
const preparedOf = (
  { task_id, session_id, accepted_at, start_by, since }: IdempotencyRecord,
  { command, principal }: PreparedTask,
): PreparedTask => {
  const same: SpawnCommand = {
    ...command,
    task_id,
    session_id,
    accepted_at,
    ...(start_by === undefined ? {} : { start_by }),
  };
  return { command: same, fresh: false, since, principal };
};
