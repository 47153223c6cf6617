import type { EventEnvelope } from '../../../contracts/events/events.js';
import { seededRandom } from '../../fixtures/random.js';
import type { Access } from '../client.js';
import type { Reader } from '../history.js';
import { SocketReader } from './socket-reader.js';
import { readTask } from './task-reader.js';

export interface ReadersOptions {
  readonly apis: readonly Access[];
  readonly seed: number;
  /** Called with the events of the first of them. */
  readonly onEvent: (event: EventEnvelope) => void;
}

const SOCKETS = 3;
/** Part of the tasks that are followed each on its own, and how many of those at once. */
const FOLLOWED = 0.2;
const MAX_FOLLOWED = 4;

/** Everybody who reads events in a run: some all of them over WebSockets, some a task's by server-sent events. */
export class Readers {
  readonly #options: ReadersOptions;
  readonly #random: () => number;
  readonly #sockets: readonly SocketReader[];
  readonly #following = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #followed: Reader[] = [];

  constructor(options: ReadersOptions) {
    const { apis, seed, onEvent } = options;
    this.#options = options;
    this.#random = seededRandom(seed);
    this.#sockets = Array.from(
      { length: SOCKETS },
      (_, index) =>
        new SocketReader({
          name: `websocket ${index + 1}`,
          apis,
          random: seededRandom(seed + index + 1),
          onEvent: index === 0 ? onEvent : () => undefined,
        }),
    );
  }

  start(): void {
    for (const socket of this.#sockets) socket.start();
  }

  /** Follows this task too, perhaps. */
  accepted(taskId: string): void {
    if (this.#following.size >= MAX_FOLLOWED || this.#random() > FOLLOWED) return;
    const { apis } = this.#options;
    const following = readTask({ taskId, apis, random: this.#random, signal: this.#stopping.signal })
      .then((reader) => void this.#followed.push(reader))
      .finally(() => this.#following.delete(following));
    this.#following.add(following);
  }

  /** Resolves when each of them has come to the stream's event `seq`, or its task's end. */
  async until(seq: number): Promise<void> {
    await Promise.all([...this.#sockets.map((socket) => socket.until(seq)), ...this.#following]);
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([...this.#sockets.map((socket) => socket.stop()), ...this.#following]);
  }

  records(): Reader[] {
    return [...this.#sockets.map((socket) => socket.record()), ...this.#followed];
  }
}
