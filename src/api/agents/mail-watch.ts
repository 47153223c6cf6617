import type { Logger } from 'pino';
import { HEADER, STREAM, SUBJECT } from '../../../contracts/names.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject, type Stored } from '../../broker/read.js';

const LOOK_MS = 2_000;
/** An election takes a moment, and what it mends comes after it. */
const PATIENCE_MS = 10_000;

/**
 * Keeps the inboxes of a cluster of three from standing still. When the leader of KSI_EVENTS dies, that of KSI_MESSAGES, which takes from it,
 * notices by itself only after 10 s and more (tried); one that is elected anew asks the new one at once.
 */
export class MailWatch {
  readonly #broker: Broker;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** What had been taken at the last look, when that was behind. */
  #stoodAt: number | undefined;
  #notBefore = 0;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (this.#broker.connected())
        this.#looking ??= this.#look()
          .catch((error: unknown) =>
            this.#log.debug({ err: error }, 'the inboxes could not be compared with the events'),
          )
          .finally(() => (this.#looking = undefined));
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    // In this order: what is taken meanwhile only brings it nearer.
    const sent = (await lastBySubject(this.#broker, STREAM.events, SUBJECT.agentMail('*')))?.seq ?? 0;
    const taken = sourceOf(await lastBySubject(this.#broker, STREAM.messages, SUBJECT.messagesAll));
    const stands = taken < sent && taken === this.#stoodAt;
    this.#stoodAt = taken < sent ? taken : undefined;
    const now = this.#broker.clock.monotonic();
    if (!stands || now < this.#notBefore) return;
    this.#notBefore = now + PATIENCE_MS;
    this.#log.warn({ sent, taken }, 'the inboxes stand still; their stream elects another leader');
    await this.#broker.nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${STREAM.messages}`, '', { timeout: LOOK_MS });
  }
}

/** The sequence in KSI_EVENTS of what KSI_MESSAGES has taken last: `KSI_EVENTS <sequence> …`. */
export const sourceOf = (stored: Stored | undefined): number =>
  Number(stored?.header(HEADER.source).split(' ')[1] ?? 0);
