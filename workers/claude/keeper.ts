import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { Guard } from '../guard/guard.js';
import type { Containment, Invocation } from './containment.js';
import type { Place } from './sandbox.js';

/** In the environment of all that a worker's Claude processes start, by which it is found wherever it went. */
export const workerMarker = (workerId: string): string => `${WORKER_VARIABLE}=${workerId}`;
const WORKER_VARIABLE = 'KSI_WORKER_ID';
const RUN_VARIABLE = 'KSI_RUN_ID';

/** A program as it is to be started, kept together. */
export interface KeptInvocation extends Invocation {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** To be called with its process group once it runs. @returns what to call when it has ended. */
  begun(group: number): () => void;
}

/** Where a run takes place. */
export type RunPlace = Omit<Place, 'ksiDir' | 'hidden' | 'empty'>;

/** Keeps what a worker starts from outliving it and the task it was started for, by the containment that the host allows. */
export class Keeper {
  readonly kind: Containment['kind'];
  readonly #containment: Containment;
  readonly #workerId: string;
  readonly #guard: Guard | undefined;
  readonly #hiding: Pick<Place, 'ksiDir' | 'hidden'>;

  /** @param hiding what no run may see. */
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

  /** Resolves when nothing is left of what was started. Idempotent. */
  async stop(): Promise<void> {
    await this.#guard?.stop();
  }

  keep(invocation: Invocation, env: KeptInvocation['env'], place: Omit<Place, 'ksiDir' | 'hidden'>): KeptInvocation {
    const run = randomUUID();
    return {
      ...this.#containment.wrap(invocation, { ...this.#hiding, ...place }),
      env: { ...env, [WORKER_VARIABLE]: this.#workerId, [RUN_VARIABLE]: run },
      begun: (group) => {
        this.#guard?.begin(group);
        return () => this.#guard?.end(group, `${RUN_VARIABLE}=${run}`);
      },
    };
  }
}
