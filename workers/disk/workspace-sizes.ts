import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import { WorkspaceSizesRequest, type WorkspaceSizesAnswer } from '../../contracts/retention/workspace-sizes.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { parseJson } from '../../src/json.js';
import type { Folders } from '../claude/folders.js';

/** Shorter than an API waits for the answer. */
const MEASURE_MS = 1_500;

export interface WorkspaceSizesOptions {
  readonly broker: Broker;
  /** The worker's name in the subject of requests. */
  readonly process: string;
  readonly folders: Pick<Folders, 'size' | 'base'>;
  readonly log: Logger;
}

/** Answers requests for the sizes of working folders. Measures for one request at a time, so that requests cannot keep the disk busy. */
export class WorkspaceSizes {
  readonly #options: WorkspaceSizesOptions;
  readonly #stopping = new AbortController();
  #subscription: Subscription | undefined;
  #measuring: Promise<void> = Promise.resolve();

  constructor(options: WorkspaceSizesOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, process } = this.#options;
    this.#subscription = broker.nc.subscribe(SUBJECT.workspaceSizes(process), {
      callback: (error, message) => {
        if (error !== null) return this.#failed(error);
        const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(MEASURE_MS)]);
        this.#measuring = this.#answerAfter(this.#measuring, message, signal);
      },
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#subscription?.unsubscribe();
    await this.#measuring;
  }

  #failed(error: unknown): void {
    this.#options.log.warn({ err: error }, 'cannot measure working folders');
  }

  /** Never rejects. */
  async #answerAfter(previous: Promise<void>, message: Msg, signal: AbortSignal): Promise<void> {
    await previous;
    try {
      await this.#answer(message, signal);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #answer(message: Msg, signal: AbortSignal): Promise<void> {
    const { folders } = this.#options;
    const request = check(WorkspaceSizesRequest, parseJson(message.data));
    if (!request.ok) return;
    const sizes: WorkspaceSizesAnswer['sizes'] = [];
    for (const session_id of request.value.session_ids) {
      const bytes = await folders.size(session_id, signal);
      if (bytes === undefined) break;
      sizes.push({ session_id, bytes });
    }
    message.respond(JSON.stringify({ folder: folders.base, sizes } satisfies WorkspaceSizesAnswer));
  }
}
