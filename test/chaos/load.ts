import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../fixtures/random.js';
import { postCancel, postSpawn, type Access } from './client.js';
import type { Cancel, Post } from './history.js';
import { chooseWork, type Wanted } from './work.js';

export interface LoadOptions {
  readonly apis: readonly Access[];
  /** Tasks per second, about. */
  readonly rate: number;
  readonly seed: number;
  readonly onPost: (post: Post) => void;
  readonly onCancel: (cancel: Cancel) => void;
}

/** Sessions that are always busy: each has a client that asks for one task after the other. */
const SESSIONS = 6;
/** Part of the tasks that are of those sessions. */
const IN_SESSIONS = 0.5;
/** How many tasks of a session are asked for with no pause between them. */
const BURST = 3;
/** Part of the requests that have an Idempotency-Key, so that they are repeated until they are answered. */
const IDEMPOTENT = 0.6;
/** Part of those that are repeated though they were answered. */
const REPEATED = 0.1;
const CANCELLED = 0.06;
const CANCEL_WITHIN_MS = 2_500;
/** How long a request is repeated. */
const GIVE_UP_MS = 30_000;
const REPEAT_PAUSE_MS = 300;
const MAX_AT_ONCE = 64;

interface Asked {
  readonly key: string;
  readonly client: string;
  readonly session?: string;
  readonly wanted: Wanted;
  readonly idempotent: boolean;
}

/** Clients that ask for tasks at a steady rate, of any API, until they are stopped. */
export class Load {
  readonly #options: LoadOptions;
  readonly #random: () => number;
  readonly #stopping = new AbortController();
  readonly #asking = new Set<Promise<unknown>>();
  #loops: Promise<unknown> | undefined;
  #count = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
  }

  start(): void {
    const sessions = Array.from({ length: SESSIONS }, (_, index) => this.#sessionClient(`s${index + 1}`));
    this.#loops ??= Promise.all([this.#freshClients(), ...sessions]);
  }

  /** No new requests; resolves when those under way have come to their end. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loops;
    await Promise.all(this.#asking);
  }

  async #freshClients(): Promise<void> {
    const gapMs = 1_000 / (this.#options.rate * (1 - IN_SESSIONS));
    while (await this.#pause(gapMs)) {
      if (this.#asking.size >= MAX_AT_ONCE) continue;
      void this.#keep(this.#ask(this.#next(`fresh-${this.#count}`)));
    }
  }

  async #sessionClient(session: string): Promise<void> {
    const gapMs = (SESSIONS * BURST * 1_000) / (this.#options.rate * IN_SESSIONS);
    while (await this.#pause(gapMs))
      for (let n = 0; n < BURST && !this.#stopping.signal.aborted; n++)
        await this.#keep(this.#ask(this.#next(session, session)));
  }

  #next(client: string, session?: string): Asked {
    const key = `${client}-${++this.#count}`;
    const { request, fails } = chooseWork(key, this.#random);
    return {
      key,
      client,
      wanted: { fails, request: session === undefined ? request : { ...request, session_id: session } },
      idempotent: this.#random() < IDEMPOTENT,
      ...(session === undefined ? {} : { session }),
    };
  }

  /** Asks until it is known what became of it, or there is no way to know. */
  async #ask(spawn: Asked): Promise<void> {
    const giveUp = performance.now() + GIVE_UP_MS;
    for (;;) {
      const { result, taskId } = await this.#once(spawn);
      if (taskId !== undefined) return this.#afterwards(spawn, taskId);
      const again = result === 'unreachable' || spawn.idempotent;
      if (!again || performance.now() > giveUp) return;
      await sleep(REPEAT_PAUSE_MS);
    }
  }

  async #afterwards(spawn: Asked, taskId: string): Promise<void> {
    if (spawn.idempotent && this.#random() < REPEATED) await this.#once(spawn);
    if (this.#random() < CANCELLED) void this.#keep(this.#cancel(taskId));
  }

  async #once(spawn: Asked): Promise<Post> {
    const { key, client, session, idempotent } = spawn;
    const { request, fails } = spawn.wanted;
    const api = this.#api();
    const askedAt = Date.now();
    const outcome = await postSpawn(api, request, idempotent ? key : undefined);
    const common = { key, client, idempotent, fails, api: api.url, askedAt, answeredAt: Date.now() };
    const post: Post = { ...common, ...(session === undefined ? {} : { session }), ...outcome };
    this.#options.onPost(post);
    return post;
  }

  async #cancel(taskId: string): Promise<void> {
    await sleep(this.#random() * CANCEL_WITHIN_MS);
    const cancel = await postCancel(this.#api(), taskId);
    if (cancel !== undefined) this.#options.onCancel(cancel);
  }

  #api(): Access {
    const { apis } = this.#options;
    const api = apis[Math.floor(this.#random() * apis.length)];
    if (api === undefined) throw new Error('a cluster without APIs takes no load');
    return api;
  }

  async #keep<T>(asking: Promise<T>): Promise<T> {
    const kept = asking.finally(() => this.#asking.delete(kept));
    this.#asking.add(kept);
    return kept;
  }

  /** Half to one and a half times `meanMs`. @returns false when it is time to stop. */
  async #pause(meanMs: number): Promise<boolean> {
    const ms = meanMs * (0.5 + this.#random());
    // An abort only ends the pause early.
    await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    return !this.#stopping.signal.aborted;
  }
}
