import { JetStreamApiError, JetStreamError, type StoredMsg } from '@nats-io/jetstream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerError } from './errors.js';
import type { Broker } from './connect.js';
import { asBrokerError, asStored, lastBySubject, type Stored } from './read.js';

const PAGE_MESSAGES = 1_000;
const PAGE_BYTES = 4 * 1_048_576;
const NOT_FOUND = 404;
/** How long a replica may lag behind the leader before a replay fails. */
const MAX_LAG_MS = 5_000;
const LAG_PAUSE_MS = 25;

/** Runs the reading of a page; it may make it wait for its turn. */
export type PageGate = <T>(read: () => Promise<T>) => Promise<T>;

const atOnce: PageGate = (read) => read();

/**
 * The stored messages of a stream after sequence `after`, up to `upTo`, whose subject matches `filter`, in order, page by page.
 * Pages are direct gets, which make no consumer but may be answered by a replica that lags; so it ends only once it has come to what
 * the leader says is the last.
 * @param gate holds a page's reading, not what the caller does with it: who consumes slowly keeps nobody else waiting.
 * @throws {BrokerError}
 */
export async function* readStream(
  broker: Broker,
  stream: string,
  filter: string,
  after: number,
  upTo: number,
  gate: PageGate = atOnce,
): AsyncGenerator<Stored> {
  if (after >= upTo) return;
  const last = Math.min((await lastBySubject(broker, stream, filter))?.seq ?? 0, upTo);
  let at = after;
  let lagging = 0;
  while (at < last) {
    let advanced = false;
    for (const message of await gate(() => page(broker, stream, filter, at + 1))) {
      if (message.seq > upTo) return;
      at = message.seq;
      advanced = true;
      yield asStored(message);
    }
    if (advanced) lagging = 0;
    else if (at < last) {
      // Retention may have taken it since.
      const still = (await lastBySubject(broker, stream, filter))?.seq ?? 0;
      if (still < last && still <= at) return;
      lagging += LAG_PAUSE_MS;
      if (lagging > MAX_LAG_MS) throw new BrokerError('unavailable', `A replica of ${stream} lags behind its leader`);
      await sleep(LAG_PAUSE_MS);
    }
  }
}

/** Of the broker's answer, in an error of one class or, when a replica that lags says it, of another that the client doesn't export. */
const isNotFound = (error: unknown): boolean =>
  error instanceof JetStreamApiError
    ? error.apiError().code === NOT_FOUND
    : error instanceof JetStreamError && (error as { readonly code?: unknown }).code === NOT_FOUND;

async function page(broker: Broker, stream: string, filter: string, seq: number): Promise<StoredMsg[]> {
  const messages: StoredMsg[] = [];
  try {
    const batch = await broker.jsm.direct.getBatch(stream, {
      seq,
      next_by_subj: filter,
      batch: PAGE_MESSAGES,
      max_bytes: PAGE_BYTES,
    });
    for await (const message of batch) messages.push(message);
  } catch (error) {
    if (isNotFound(error)) return messages;
    throw asBrokerError(error, `replaying ${stream}`);
  }
  return messages;
}
