import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Guard } from '../guard/guard.js';
import type { Containment, Invocation } from './containment.js';
import type { Place } from './sandbox.js';

/** A tag in the environment of all processes that a worker's Claude starts. Leftover processes are found by it. */
export const workerMarker = (workerId: string): string => `${WORKER_VARIABLE}=${workerId}`;
const WORKER_VARIABLE = 'KSI_WORKER_ID';
const RUN_VARIABLE = 'KSI_RUN_ID';

/** A contained program, ready to be started. */
export interface ContainedInvocation extends Invocation {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Call it with the process group once the program runs. @returns call it when the program has ended. */
  started(group: number): () => void;
}

/** The folders of a run. */
export type RunPlace = Omit<Place, 'ksiDir' | 'hidden' | 'empty'>;

/** Starts a worker's programs so that none outlives the worker or its task, by the containment that the host allows. */
export class ContainedLauncher {
  readonly kind: Containment['kind'];
  readonly #containment: Containment;
  readonly #workerId: string;
  readonly #guard: Guard | undefined;
  readonly #hiding: Pick<Place, 'ksiDir' | 'hidden'>;

  /** @param hiding paths that no run may see. */
  constructor(containment: Containment, workerId: string, hiding: Pick<Place, 'ksiDir' | 'hidden'>, log: Logger) {
    this.#hiding = hiding;
    this.kind = containment.kind;
    this.#containment = containment;
    this.#workerId = workerId;
    this.#guard = containment.kind === 'process_group' ? new Guard(workerMarker(workerId), log) : undefined;
  }

  start(): void {
    this.#guard?.start();
  }

  /** Resolves when all started processes have ended. Idempotent. */
  async stop(): Promise<void> {
    await this.#guard?.stop();
  }

  contain(
    invocation: Invocation,
    env: ContainedInvocation['env'],
    place: Omit<Place, 'ksiDir' | 'hidden'>,
  ): ContainedInvocation {
    const run = randomUUID();
    return {
      ...this.#containment.wrap(invocation, { ...this.#hiding, ...place }),
      env: { ...env, [WORKER_VARIABLE]: this.#workerId, [RUN_VARIABLE]: run },
      started: (group) => {
        this.#guard?.begin(group);
        return () => this.#guard?.end(group, `${RUN_VARIABLE}=${run}`);
      },
    };
  }
}
