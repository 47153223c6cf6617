import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import {
  DeadLetter,
  DeadLetterRef,
  type DeadQuery,
  type DeadRetryAnswer,
  type DeadRetryRequest,
  type DeadSummary,
} from '../../contracts/tasks/dead-letters.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { parseJson } from '../json.js';
import { deleteMessage, lastBySubject, type Stored } from '../broker/read.js';
import { readStream } from '../broker/replay.js';
import type { AcceptedTask, IdempotentAcceptor } from './accept/spawn-idempotency.js';
import { PAGE_ITEMS, type Page } from '../../contracts/wire/page.js';
import { keyBefore, pageWith, within } from '../lists/page.js';
import { ApiError, apiErrorOf, withApiErrors } from '../errors/api-error.js';
import { listedOwner, maySee, onBehalfOf, type Principal } from '../access/principal.js';
import type { SpawnRateLimiter } from '../access/rates/limiter.js';
import { ofAgent, requestOf } from './steer/request-of.js';

const DEFAULT_RETRIES = 100;

type DeadFilter = Omit<DeadRetryRequest, 'limit'>;
/** A sequence in KSI_DEAD. */
const SEQ = /^[1-9][0-9]{0,15}$/;

interface Found {
  readonly seq: number;
  readonly summary: DeadSummary;
  /** The dead letter, or a reference to it in the object store. */
  readonly body: DeadLetter | DeadLetterRef;
}

/** Lists dead letters, puts them back as new tasks, and deletes them. */
export class DeadLetters {
  readonly #broker: Broker;
  readonly #blobs: Blobs;
  readonly #once: IdempotentAcceptor;
  readonly #rate: Pick<SpawnRateLimiter, 'take'>;
  readonly #log: Logger;

  constructor(
    broker: Broker,
    blobs: Blobs,
    once: IdempotentAcceptor,
    rate: Pick<SpawnRateLimiter, 'take'>,
    log: Logger,
  ) {
    this.#broker = broker;
    this.#blobs = blobs;
    this.#once = once;
    this.#rate = rate;
    this.#log = log;
  }

  /** Oldest first. @throws {ApiError} */
  async page(query: DeadQuery, principal: Principal): Promise<Page<DeadSummary>> {
    const { limit = PAGE_ITEMS, cursor } = query;
    const after = Number(keyBefore('dead', cursor, SEQ) ?? 0);
    const found: Found[] = [];
    await withApiErrors(async () => {
      for await (const letter of this.#read(query, principal, after)) if (found.push(letter) > limit) return;
    });
    const next = found.length > limit ? found[limit - 1]?.seq.toString() : undefined;
    return pageWith(
      'dead',
      found.slice(0, limit).map(({ summary }) => summary),
      next,
    );
  }

  /** The complete dead letter. @throws {ApiError} not_found (also for another owner's) */
  async letter(taskId: string, principal: Principal): Promise<DeadLetter> {
    return withApiErrors(async () => this.#whole((await this.#found(taskId, principal)).body));
  }

  /** @throws {ApiError} */
  async delete(taskId: string, principal: Principal): Promise<void> {
    return withApiErrors(async () => this.#remove(await this.#found(taskId, principal)));
  }

  /** Creates a new task from a dead letter and deletes the letter. A crash in between does not create a second task. @throws {ApiError} */
  async putBack(taskId: string, principal: Principal): Promise<AcceptedTask> {
    return withApiErrors(async () => this.#putBack(await this.#found(taskId, principal), principal));
  }

  /** Puts back all matching dead letters, until the queue is full. @throws {ApiError} */
  async putBackAll(request: DeadRetryRequest, principal: Principal): Promise<DeadRetryAnswer> {
    const answer: DeadRetryAnswer = { retried: [], refused: [] };
    const limit = request.limit ?? DEFAULT_RETRIES;
    return withApiErrors(async () => {
      let looked = 0;
      for await (const found of this.#read(request, principal, 0)) {
        if (++looked > limit) break;
        const { task_id: id } = found.summary;
        try {
          const { accepted } = await this.#putBack(found, principal);
          answer.retried.push({ retry_of: id, task_id: accepted.task_id });
        } catch (thrown) {
          const error = apiErrorOf(thrown);
          answer.refused.push({ task_id: id, code: error.code, detail: error.message });
          // The remaining ones would be refused for the same reason.
          if (error.retryable) break;
        }
      }
      return answer;
    });
  }

  /** @throws {ApiError} */
  async has(taskId: string): Promise<boolean> {
    return withApiErrors(async () => (await this.#stored(taskId)) !== undefined);
  }

  async #putBack(found: Found, principal: Principal): Promise<AcceptedTask> {
    const { task_id: id, owner } = found.summary;
    const { command } = await this.#whole(found.body);
    const checked = check(SpawnCommand, command);
    if (!checked.ok)
      throw new ApiError('not_retryable', `The stored command of task ${id} is not valid, so it cannot run again`);
    // It counts as a spawn.
    this.#rate.take(principal);
    const accepted = await this.#once.acceptForDeadLetter(
      requestOf(checked.value),
      onBehalfOf(principal, owner),
      id,
      ofAgent(checked.value),
    );
    await this.#remove(found);
    this.#log.info({ task_id: accepted.accepted.task_id, retry_of: id }, 'put a dead letter back');
    return accepted;
  }

  async #remove({ seq, body, summary }: Found): Promise<void> {
    await deleteMessage(this.#broker, STREAM.dead, seq);
    if ('ref' in body)
      await this.#blobs.delete(body.ref.name).catch((error: unknown) => {
        this.#log.warn(
          { err: error, task_id: summary.task_id },
          "could not delete a dead letter's body; it stays in the object store",
        );
      });
  }

  async #whole(body: DeadLetter | DeadLetterRef): Promise<DeadLetter> {
    if (!('ref' in body)) return body;
    const letter = check(DeadLetter, parseJson(await this.#blobs.get(body.ref)));
    if (!letter.ok)
      throw new ApiError('internal', `The stored body of the dead letter ${body.task_id} does not match its schema`);
    return letter.value;
  }

  async #found(taskId: string, principal: Principal): Promise<Found> {
    const stored = await this.#stored(taskId);
    const found = stored === undefined ? undefined : this.#letterIn(stored);
    if (found === undefined || !maySee(principal, found.summary.owner))
      throw new ApiError('not_found', `There is no dead letter of task ${taskId}`);
    return found;
  }

  #stored(taskId: string): Promise<Stored | undefined> {
    return lastBySubject(this.#broker, STREAM.dead, SUBJECT.dead('*', taskId));
  }

  async *#read(
    { queue, owner: requestedOwner, ended_after, ended_before }: DeadFilter,
    principal: Principal,
    after: number,
  ): AsyncGenerator<Found> {
    const owner = listedOwner(principal, requestedOwner);
    const filter = queue === undefined ? SUBJECT.deadAll : SUBJECT.dead(queue, '*');
    for await (const stored of readStream(this.#broker, STREAM.dead, filter, after, Number.MAX_SAFE_INTEGER)) {
      const found = this.#letterIn(stored);
      if (found === undefined || !within(found.summary.timestamp, ended_after, ended_before)) continue;
      if (owner === undefined || owner === found.summary.owner) yield found;
    }
  }

  #letterIn(stored: Stored): Found | undefined {
    const body = parseJson(stored.data);
    const reference = check(DeadLetterRef, body);
    const letter = reference.ok ? reference : check(DeadLetter, body);
    if (!letter.ok) {
      this.#log.error(
        { subject: stored.subject, faults: letter.faults },
        'skipped a dead letter that does not match its schema',
      );
      return undefined;
    }
    const { task_id, session_id, session_name, owner, queue, given_up, timestamp, error } = letter.value;
    const named = session_name === undefined ? {} : { session_name };
    const summary = { task_id, session_id, ...named, owner, queue, given_up, timestamp, error };
    return { seq: stored.seq, summary, body: letter.value };
  }
}
