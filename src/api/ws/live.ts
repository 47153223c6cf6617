import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { SpawnDelta } from '../../../contracts/events/events.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { tokensOf } from '../../events/subject.js';

/** A delta, as it is sent to clients. */
export interface LiveMessage {
  readonly tokens: readonly string[];
  readonly owner: string;
  readonly frame: Buffer;
}

type LiveListener = (message: LiveMessage) => void;

/** Distributes deltas to listeners. Subscribes at the broker only while there is a listener. */
export class LiveFeed {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #listeners = new Set<LiveListener>();
  #subscription: Subscription | undefined;

  constructor(broker: Broker, log: Logger) {
    this.#broker = broker;
    this.#log = log;
  }

  subscribe(listener: LiveListener): () => void {
    this.#listeners.add(listener);
    this.#subscription ??= this.#broker.nc.subscribe(SUBJECT.liveAll, {
      callback: (_error, msg) => this.#onMessage(msg),
    });
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#subscription?.unsubscribe();
      this.#subscription = undefined;
    };
  }

  #onMessage(msg: Msg): void {
    try {
      const text = msg.string();
      const delta = JSON.parse(text) as SpawnDelta;
      const frame = Buffer.from(`${text.slice(0, text.lastIndexOf('}'))},"subject":"${msg.subject}"}`);
      const message = { tokens: tokensOf(msg.subject), owner: delta.data.owner, frame };
      for (const listener of this.#listeners) listener(message);
    } catch (error) {
      this.#log.warn({ err: error, subject: msg.subject }, 'skipped a malformed delta');
    }
  }
}
