import type { Logger } from 'pino';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Broker } from './connect.js';
import { lastBySubject, sourceOf } from './read.js';

const LOOK_MS = 2_000;
/** An election takes a moment, and what it mends comes after it. */
const PATIENCE_MS = 10_000;

/** The streams that take from KSI_EVENTS: some of what they take, and all that they hold. */
export const TAKERS = [
  { stream: STREAM.messages, source: SUBJECT.agentMail('*'), holds: SUBJECT.messagesAll },
  {
    stream: STREAM.outcomes,
    source: SUBJECT.taskState('*', TASK_STATES.completed.token),
    holds: SUBJECT.outcomesAll,
  },
] as const;

interface Seen {
  /** What had been taken at the last look, when that was behind. */
  stoodAt?: number | undefined;
  notBefore: number;
}

/**
 * Keeps streams that take from KSI_EVENTS from standing still in a cluster of three. When the leader of KSI_EVENTS dies, that of the other stream
 * notices it late (docs/design/facts.md#source-notices-late); one that is elected anew asks the new one at once.
 */
export class SourceWatch {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #seen = new Map<string, Seen>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#broker.connected()) this.#looking ??= this.#lookAtAll().finally(() => (this.#looking = undefined));
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    for (const taker of TAKERS)
      await this.#look(taker).catch((error: unknown) =>
        this.#log.debug({ err: error, stream: taker.stream }, 'a stream could not be compared with the events'),
      );
  }

  async #look({ stream, source, holds }: (typeof TAKERS)[number]): Promise<void> {
    // In this order: what is taken meanwhile only brings it nearer.
    const sent = (await lastBySubject(this.#broker, STREAM.events, source))?.seq ?? 0;
    const taken = sourceOf(await lastBySubject(this.#broker, stream, holds));
    const seen = this.#seen.get(stream) ?? { notBefore: 0 };
    this.#seen.set(stream, seen);
    const stands = taken < sent && taken === seen.stoodAt;
    seen.stoodAt = taken < sent ? taken : undefined;
    const now = this.#broker.clock.monotonic();
    if (!stands || now < seen.notBefore) return;
    seen.notBefore = now + PATIENCE_MS;
    this.#log.warn({ stream, sent, taken }, 'the stream takes nothing from the events; it elects another leader');
    await this.#broker.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, '', { timeout: LOOK_MS });
  }
}
