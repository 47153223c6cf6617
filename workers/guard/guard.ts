import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { withPipes } from '../../src/process/with-pipes.js';

/** What a worker tells its guard, one JSON line each. */
export type GuardMessage =
  /** A process group of a run has begun. */
  | { readonly begin: number }
  /** The group has ended; what carries the marker in its environment is to end too. */
  | { readonly end: number; readonly marker: string };

type Guarding = ChildProcessByStdio<Writable, null, null>;

const RESTART_MS = 200;
const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/**
 * The portable containment: a small process that outlives its worker, by a pipe that closes with it, and then ends all
 * that the worker had started. Restarted when it is killed itself.
 */
export class Guard {
  readonly #marker: string;
  readonly #log: Logger;
  readonly #groups = new Set<number>();
  #child: Guarding | undefined;
  #stopped: Promise<void> | undefined;

  /** @param marker `NAME=value`, in the environment of all that the worker starts. */
  constructor(marker: string, log: Logger) {
    this.#marker = marker;
    this.#log = log;
  }

  start(): void {
    // A session of its own: what is sent to the worker's group doesn't reach it. Its environment must not hold the marker.
    const child = this.#spawn();
    this.#child = child;
    if (child === undefined) return this.#startLater();
    // It is gone: its exit says so.
    child.stdin.on('error', () => undefined);
    child.once('exit', () => {
      if (this.#stopped !== undefined) return;
      this.#log.warn('the guard of the processes was ended; starting another');
      this.#startLater();
    });
    child.once('error', (error) => {
      this.#notStarted(error);
      if (child.pid === undefined) this.#startLater();
    });
    for (const group of this.#groups) this.#tell({ begin: group });
  }

  #spawn(): Guarding | undefined {
    try {
      return withPipes(() =>
        spawn(process.execPath, [MAIN, this.#marker], {
          detached: true,
          env: {},
          stdio: ['pipe', 'ignore', 'inherit'],
        }),
      );
    } catch (error) {
      this.#notStarted(error);
      return undefined;
    }
  }

  #notStarted(error: unknown): void {
    this.#log.error({ err: error }, 'the guard of the processes does not start; trying again');
  }

  #startLater(): void {
    setTimeout(() => {
      if (this.#stopped === undefined) this.start();
    }, RESTART_MS).unref();
  }

  begin(group: number): void {
    this.#groups.add(group);
    this.#tell({ begin: group });
  }

  /** @param marker `NAME=value`, in the environment of this run alone. */
  end(group: number, marker: string): void {
    this.#groups.delete(group);
    this.#tell({ end: group, marker });
  }

  /** Resolves when it has ended what was left, and is gone. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.stdin.end();
    await gone;
  }

  #tell(message: GuardMessage): void {
    this.#child?.stdin.write(`${JSON.stringify(message)}\n`);
  }
}
