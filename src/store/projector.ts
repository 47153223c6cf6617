import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Blobs } from '../broker/blobs.js';
import { commandOf } from '../broker/commands.js';
import type { Broker } from '../broker/connect.js';
import { isTransient } from '../broker/errors.js';
import { streamPosition, type Stored } from '../broker/read.js';
import { closeChecked, openChecked } from './damaged-files.js';
import { ReadModel } from './read-model.js';
import { taskFile, TaskStore } from './task-store.js';
import type { StreamPosition } from '../../contracts/wire/cursor.js';
import type { Limit } from '../limit.js';
import { retry, RETRY_MS } from '../retry.js';
import { undoStart } from '../process/lifecycle.js';
import type { HubEvent } from '../events/hub-event.js';
import { Feed } from '../events/feed.js';
import { isSameHistory } from '../events/history.js';
import type { EventHub } from '../events/hub.js';
import { acceptedRow } from './projection.js';
import { readStream } from '../broker/replay.js';

export interface ProjectorOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly hub: EventHub;
  readonly limit: Limit;
  /** The read model's file. */
  readonly path: string;
  /** See DeletedCostCounters. */
  readonly exchangeDays: number;
  readonly log: Logger;
}

const STATES = 'ksi.events.task.*.state.*';
/** Of tasks and of sessions. */
const DELETIONS = 'ksi.events.*.*.deleted';

/**
 * Keeps the read model up to date with the event stream, from the position in its file. It rebuilds the read model if the file is new or
 * damaged, belongs to another stream, or lacks events that retention has deleted. Tasks whose SPAWN_QUEUED was lost with their API are found
 * in KSI_COMMANDS.
 */
export class Projector {
  readonly model: ReadModel;
  readonly #options: ProjectorOptions;
  #feeds: readonly Feed[] = [];
  #caughtUp = false;
  #forget: (() => void) | undefined;
  readonly #stopping = new AbortController();
  #reading: Promise<void> = Promise.resolve();
  #rebuilding: Promise<void> = Promise.resolve();

  private constructor(options: ProjectorOptions, model: ReadModel) {
    this.#options = options;
    this.model = model;
  }

  static async open(options: ProjectorOptions): Promise<Projector> {
    const { broker, hub, path, exchangeDays, log } = options;
    const { firstSeq } = await streamPosition(broker, STREAM.events);
    const store = await openStore(path, exchangeDays, log);
    try {
      const stored = store.position();
      const usable =
        stored !== undefined &&
        stored.incarnation === hub.position.incarnation &&
        stored.seq <= hub.position.seq &&
        (await isSameHistory(broker, stored)) &&
        // Otherwise the deleted events may have ended open tasks, which would stay open forever.
        (stored.seq + 1 >= firstSeq || !store.hasOpen());
      if (!usable) {
        if (stored !== undefined)
          log.warn(
            { stored, stream: { ...hub.position, firstSeq } },
            'the read model belongs to another event stream or history, or is too old; rebuilding it',
          );
        await store.clear();
      }
      return new Projector(options, new ReadModel(store, usable ? stored : beginning(hub), log));
    } catch (error) {
      await undoStart(() => closeStore(store, path), log);
      throw error;
    }
  }

  /** Resolves when the read model is up to date. @throws {BrokerError} */
  async start(): Promise<void> {
    const { hub, log } = this.#options;
    const startedAt = performance.now();
    await this.#follow(this.model.position.seq);
    this.#caughtUp = true;
    this.#reading = this.#readCommands();
    log.info(
      { ms: Math.round(performance.now() - startedAt), position: this.model.position.seq },
      'the read model is up to date',
    );
    this.#forget = hub.onReset(() => {
      this.#caughtUp = false;
      this.#rebuilding = this.#rebuilding.then(() => this.#rebuild());
    });
  }

  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  async stop(): Promise<void> {
    this.#forget?.();
    for (const feed of this.#feeds) feed.stop();
    this.#stopping.abort();
    await this.#rebuilding;
    await this.#reading;
    await this.model.stop();
    await closeChecked(taskFile(this.#options.path));
  }

  /** Never rejects. */
  #rebuild(): Promise<void> {
    return this.#untilDone('the read model could not be rebuilt; retrying', async () => {
      for (const feed of this.#feeds) feed.stop();
      await this.model.reset(beginning(this.#options.hub));
      await this.#reading;
      await this.#follow(0);
      this.#caughtUp = true;
      this.#reading = this.#readCommands();
    });
  }

  /** Repeats an action until it succeeds or the projector stops. Never rejects. */
  async #untilDone(failure: string, action: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    const onFailure = (error: unknown): void => this.#options.log.warn({ err: error }, failure);
    await retry(action, { clock: this.#options.broker.clock, pauseMs: RETRY_MS.background, signal, onFailure }).catch(
      () => undefined,
    );
  }

  async #follow(after: number): Promise<void> {
    const { hub, limit } = this.#options;
    const states = new Feed({
      hub,
      limit,
      filter: STATES,
      matches: ({ tokens }) => tokens[2] === 'task' && tokens[4] === 'state',
      sink: { deliver: (event) => this.model.apply(event) },
    });
    // A separate feed: a deleted task has no state events left, so the order between the two feeds does not matter.
    let isPast = true;
    let last: HubEvent | undefined;
    const deletions = new Feed({
      hub,
      limit,
      filter: DELETIONS,
      matches: ({ type }) => type === 'TASK_DELETED' || type === 'SESSION_DELETED',
      sink: {
        deliver: (event) => {
          this.model.applyDeletion(event);
          last = event;
          // While the states are read from the past, the position is theirs.
          if (!isPast) this.model.passed(event);
        },
      },
    });
    this.#feeds = [deletions, states];
    // The deletions first: with the position of the states, the file says that it has all deletions before it, too.
    for (const feed of this.#feeds) await feed.start(after);
    isPast = false;
    // Unlike the task's other events, the deletion stays in the stream, so the position advances to it.
    if (last !== undefined) this.model.passed(last);
  }

  /**
   * Adds queued tasks that have no event. It runs in the background: after a crash there are few, and a request for one by its id reads the
   * broker. Never rejects.
   */
  #readCommands(): Promise<void> {
    return this.#untilDone('the queued commands could not be read; retrying', () =>
      this.#acceptUnknown(this.#stopping.signal),
    );
  }

  async #acceptUnknown(signal: AbortSignal): Promise<void> {
    const { broker, blobs } = this.#options;
    const { lastSeq } = await streamPosition(broker, STREAM.commands);
    for await (const stored of readStream(broker, STREAM.commands, SUBJECT.commandsAll, 0, lastSeq)) {
      if (signal.aborted) return;
      // Skip known tasks before their bodies are read, which may be large.
      if (this.model.get(stored.header(HEADER.taskId)) !== undefined) continue;
      const command = await this.#commandOf(stored, blobs);
      if (command !== undefined)
        this.model.accept(acceptedRow(command, stored.subject.startsWith('ksi.commands.wait.') ? 'waiting' : 'queued'));
    }
  }

  /** A lost body must not prevent the other tasks from being read. @throws {BrokerError} if the broker is unavailable. */
  async #commandOf(stored: Stored, blobs: Blobs): Promise<SpawnCommand | undefined> {
    try {
      return await commandOf(stored, blobs);
    } catch (error) {
      if (isTransient(error)) throw error;
      this.#options.log.error(
        { err: error, subject: stored.subject },
        'a queued command cannot be read; the task is not listed',
      );
      return undefined;
    }
  }
}

async function closeStore(store: TaskStore, path: string): Promise<void> {
  await store.close();
  await closeChecked(taskFile(path));
}

const beginning = (hub: EventHub): StreamPosition => ({ incarnation: hub.position.incarnation, seq: 0 });

/** Opens the file, and renames a damaged one. */
async function openStore(path: string, exchangeDays: number, log: Logger): Promise<TaskStore> {
  const aside = await openChecked(taskFile(path), log);
  if (aside !== undefined) log.warn({ aside }, 'the read model was damaged; it is rebuilt from the event stream');
  return new TaskStore(path, exchangeDays);
}
