import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Task, TaskPage, TasksQuery } from '../../contracts/tasks/task.js';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { eventBlob, type Blobs } from '../broker/blobs.js';
import { commandOf } from '../broker/commands.js';
import type { Broker } from '../broker/connect.js';
import { asBrokerError, asStored, nextBySubject, streamPosition, type Stored } from '../broker/read.js';
import { acceptedRow, applyEvent, taskOf, type TaskRow } from '../store/projection.js';
import type { EventHub } from '../events/hub.js';
import type { ReadModel } from '../store/read-model.js';
import { isRecord, parseText } from '../json.js';
import { ApiError, apiErrorOf, withApiErrors } from '../errors/api-error.js';
import { bodyOf, storedBody, type Body } from './bodies.js';
import { PAGE_ITEMS } from '../../contracts/wire/page.js';
import { keyBefore, pageWith } from '../lists/page.js';
import { filterOf } from './task-filter.js';
import { listedOwner, maySee, type Principal } from '../access/principal.js';
import type { SessionNames } from '../sessions/names.js';

/** The maximum size of all outputs on a page, over HTTP. */
const MAX_OUTPUT_BYTES = 4 * 1_048_576;
/** A command is stored within this time of the timestamp in its task id, so the search ends there. */
const COMMAND_WINDOW_MS = 10_000;
const MAX_LOOKED_AT = 10_000;
/** How many messages a replica may be behind its leader, in the few ms between the two requests. */
const MAX_LAG = 20;

/** Reads tasks for a principal: from the read model, or from the broker if the read model does not have them yet. */
export class TaskReader {
  readonly #broker: Broker;
  readonly #blobs: Blobs;
  readonly #hub: EventHub;
  readonly #model: ReadModel;

  readonly #names: Pick<SessionNames, 'find'>;

  constructor(broker: Broker, blobs: Blobs, hub: EventHub, model: ReadModel, names: Pick<SessionNames, 'find'>) {
    this.#names = names;
    this.#broker = broker;
    this.#blobs = blobs;
    this.#hub = hub;
    this.#model = model;
  }

  /** @throws {ApiError} not_found (also for another owner's task) */
  async task(id: string, principal: Principal): Promise<Task> {
    const row = this.#model.get(id) ?? (await this.#fromBroker(id));
    if (row === undefined || !maySee(principal, row.owner)) throw new ApiError('not_found', `There is no task ${id}`);
    return this.#whole(row);
  }

  /** Newest first. @param maxOutputBytes of all outputs; a page has at least one task. @throws {ApiError} */
  async page(query: TasksQuery, principal: Principal, maxOutputBytes = MAX_OUTPUT_BYTES): Promise<TaskPage> {
    const before = keyBefore('tasks', query.cursor);
    const session =
      query.session_id === undefined
        ? undefined
        : await withApiErrors(() => this.#names.find(query.session_id ?? '', principal.owner));
    if (query.session_id !== undefined && session === undefined) return { items: [] };
    const filter = {
      ...filterOf(query, listedOwner(principal, query.owner)),
      accepted: query.include !== 'not_accepted',
      sessionId: session?.sessionId,
    };
    const { rows, next: following } = await this.#model.list(filter, query.limit ?? PAGE_ITEMS, before);
    const tasks = query.include === 'output' ? this.#withOutputs(rows, maxOutputBytes) : rows.map(taskOf);
    const next = tasks.length < rows.length ? tasks.at(-1)?.task_id : following;
    const summed = query.spawned_by !== undefined || query.exchange_id !== undefined;
    return {
      ...pageWith('tasks', tasks, next),
      ...(summed ? { total: await this.#model.sum(filter) } : {}),
    };
  }

  /** Resolves with the task once it has ended, or as it is when `signal` aborts. @throws {ApiError} */
  async ended(id: string, principal: Principal, signal: AbortSignal): Promise<Task> {
    const now = await this.task(id, principal);
    if (now.ended_at !== undefined || signal.aborted) return now;
    const row = await new Promise<TaskRow | undefined>((resolve) => {
      const settle = (ended?: TaskRow): void => {
        forget();
        signal.removeEventListener('abort', giveUp);
        resolve(ended);
      };
      const giveUp = (): void => settle();
      const forget = this.#model.onEnded(id, settle);
      signal.addEventListener('abort', giveUp);
      // The task may have ended before the listener was added.
      if (this.#model.get(id)?.ended_at !== undefined) giveUp();
    });
    return row === undefined ? this.task(id, principal) : this.#whole(row);
  }

  /** @throws {ApiError} not_found (also if the task has no output) */
  async output(id: string, principal: Principal): Promise<Body> {
    const { output, output_ref: ref } = await this.task(id, principal);
    if (ref !== undefined) return storedBody(this.#blobs, ref);
    if (output === undefined) throw new ApiError('not_found', `The task ${id} has no output`);
    return bodyOf(JSON.stringify(output));
  }

  /** The body of an event that has a `ref` instead. @throws {ApiError} not_found */
  async eventBody(id: string, eventId: string, principal: Principal): Promise<Body> {
    await this.task(id, principal);
    return storedBody(this.#blobs, { name: eventBlob(id, eventId) });
  }

  #whole(row: TaskRow): Task {
    const output = row.output === undefined ? this.#model.output(row.task_id) : undefined;
    return { ...taskOf(row), ...outputIn(output) };
  }

  /** The first rows whose outputs fit into `maxBytes`, but at least one. */
  #withOutputs(rows: readonly TaskRow[], maxBytes: number): Task[] {
    const tasks: Task[] = [];
    let bytes = 0;
    for (const row of rows) {
      const output = this.#model.output(row.task_id);
      bytes += output === undefined ? 0 : Buffer.byteLength(output);
      if (tasks.length > 0 && bytes > maxBytes) break;
      tasks.push({ ...taskOf(row), ...outputIn(output) });
    }
    return tasks;
  }

  async #fromBroker(id: string): Promise<TaskRow | undefined> {
    try {
      let row: TaskRow | undefined;
      // The hub reads bodies from the object store.
      for await (const event of this.#hub.read(SUBJECT.taskStates(id), 0, Number.MAX_SAFE_INTEGER))
        row = applyEvent(row, event);
      if (row !== undefined) return row;
      const command = await this.#command(id);
      return command === undefined
        ? undefined
        : acceptedRow(command.command, command.stored.subject.startsWith('ksi.commands.wait.') ? 'waiting' : 'queued');
    } catch (error) {
      throw apiErrorOf(error);
    }
  }

  /** The command of a task without events, found by the timestamp in its id. */
  async #command(id: string): Promise<{ command: SpawnCommand; stored: Stored } | undefined> {
    const createdAt = timeOf(id);
    // No task has an id of the future, and the broker may not be able to parse such a time.
    if (createdAt === undefined || createdAt > this.#broker.clock.now() + COMMAND_WINDOW_MS) return undefined;
    const { lastSeq } = await streamPosition(this.#broker, STREAM.commands);
    const found = await this.#storedCommand(id, createdAt, lastSeq);
    const command = found === undefined ? undefined : await commandOf(found, this.#blobs);
    return found === undefined || command === undefined ? undefined : { command, stored: found };
  }

  /** @param lastSeq the stream's last sequence, read from the leader. */
  async #storedCommand(id: string, createdAt: number, lastSeq: number): Promise<Stored | undefined> {
    let seen = 0;
    try {
      const batch = await this.#broker.jsm.direct.getBatch(STREAM.commands, {
        start_time: new Date(createdAt - COMMAND_WINDOW_MS),
        batch: MAX_LOOKED_AT,
      });
      for await (const message of batch) {
        if (message.time.getTime() > createdAt + COMMAND_WINDOW_MS) return undefined;
        if (message.header.get(HEADER.taskId) === id) return asStored(message);
        seen = message.seq;
      }
    } catch (error) {
      // An empty stream answers 404.
      if ((error as { code?: unknown }).code !== 404) throw asBrokerError(error, 'looking for a command');
    }
    // The batch may come from a lagging replica. Read the newest messages from the leader.
    for (let seq = Math.max(seen + 1, lastSeq - MAX_LAG + 1); seq <= lastSeq;) {
      const stored = await nextBySubject(this.#broker, STREAM.commands, SUBJECT.commandsAll, seq);
      if (stored === undefined || stored.header(HEADER.taskId) === id) return stored;
      seq = stored.seq + 1;
    }
    return undefined;
  }
}

/** Leaves an unreadable output out: a damaged file must not hide the task. */
function outputIn(text: string | undefined): Pick<Task, 'output'> {
  const output = text === undefined ? undefined : parseText(text);
  return isRecord(output) ? { output } : {};
}

/** Milliseconds since the epoch in a UUIDv7; undefined for another UUID. */
function timeOf(id: string): number | undefined {
  return id[14] === '7' ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : undefined;
}
