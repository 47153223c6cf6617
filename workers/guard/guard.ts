import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { withPipes } from '../../src/process/with-pipes.js';

/** A message from a worker to its guard: one line of JSON. */
export type GuardMessage =
  /** A run has started this process group. */
  | { readonly begin: number }
  /** The run's process group has ended. The guard ends the remaining processes with the marker in their environment. */
  | { readonly end: number; readonly marker: string };

type Guarding = ChildProcessByStdio<Writable, null, null>;

const RESTART_MS = 200;
const MAIN = fileURLToPath(new URL('main.js', import.meta.url));

/**
 * The portable containment: a small process that ends everything the worker started when the worker ends. A pipe tells the guard, because it
 * closes with the worker. If the guard is killed, the worker starts another.
 */
export class Guard {
  readonly #marker: string;
  readonly #log: Logger;
  readonly #groups = new Set<number>();
  #child: Guarding | undefined;
  #stopped: Promise<void> | undefined;

  /** @param marker `NAME=value`, in the environment of every process that the worker starts */
  constructor(marker: string, log: Logger) {
    this.#marker = marker;
    this.#log = log;
  }

  start(): void {
    const child = this.#spawn();
    this.#child = child;
    if (child === undefined) return this.#startLater();
    // `exit` reports that the guard is gone.
    child.stdin.on('error', () => undefined);
    child.once('exit', () => {
      if (this.#stopped !== undefined) return;
      this.#log.warn('the guard process ended; starting another');
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
          // Signals to the worker's process group do not reach the guard.
          detached: true,
          // The marker must not be in the guard's environment.
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
    this.#log.error({ err: error, retry_ms: RESTART_MS }, 'could not start the guard process; retrying');
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

  /** @param marker `NAME=value`, in the environment of this run's processes only */
  end(group: number, marker: string): void {
    this.#groups.delete(group);
    this.#tell({ end: group, marker });
  }

  /** Resolves when the guard has ended the remaining processes and itself. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.stdin.end();
    await exited;
  }

  #tell(message: GuardMessage): void {
    this.#child?.stdin.write(`${JSON.stringify(message)}\n`);
  }
}
