import type { Logger } from 'pino';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { TASK_STATES } from '../../contracts/tasks/states.js';
import type { Broker } from './connect.js';
import { lastBySubject, sourceOf } from './read.js';

const LOOK_MS = 2_000;
/** The pause after an election, so that sourcing can resume. */
const ELECTION_PAUSE_MS = 10_000;

/** The streams that source from KSI_EVENTS: a sample of the sourced subjects, and all their own subjects. */
export const SOURCED_STREAMS = [
  { stream: STREAM.messages, source: SUBJECT.agentMail('*'), holds: SUBJECT.messagesAll },
  {
    stream: STREAM.outcomes,
    source: SUBJECT.taskState('*', TASK_STATES.completed.token),
    holds: SUBJECT.outcomesAll,
  },
] as const;

interface Seen {
  /** The last sourced sequence at the last check, if that was behind. */
  stalledAt?: number | undefined;
  notBefore: number;
}

/**
 * Restarts stalled sourcing from KSI_EVENTS in a cluster of three. When the leader of KSI_EVENTS dies, the sourcing stream's leader notices
 * it late (docs/design/facts.md#source-notices-late). A newly elected leader resumes at once.
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
    for (const taker of SOURCED_STREAMS)
      await this.#look(taker).catch((error: unknown) =>
        this.#log.debug({ err: error, stream: taker.stream }, 'could not compare a stream with KSI_EVENTS'),
      );
  }

  async #look({ stream, source, holds }: (typeof SOURCED_STREAMS)[number]): Promise<void> {
    // In this order, messages sourced in between cannot make it look stalled.
    const sent = (await lastBySubject(this.#broker, STREAM.events, source))?.seq ?? 0;
    const taken = sourceOf(await lastBySubject(this.#broker, stream, holds));
    const seen = this.#seen.get(stream) ?? { notBefore: 0 };
    this.#seen.set(stream, seen);
    const stalled = taken < sent && taken === seen.stalledAt;
    seen.stalledAt = taken < sent ? taken : undefined;
    const now = this.#broker.clock.monotonic();
    if (!stalled || now < seen.notBefore) return;
    seen.notBefore = now + ELECTION_PAUSE_MS;
    this.#log.warn({ stream, sent, taken }, 'the stream does not source new events; asking its leader to step down');
    await this.#broker.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, '', { timeout: LOOK_MS });
  }
}
