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

/** Runs a page read, possibly after a wait: a concurrency limit. */
export type PageGate = <T>(read: () => Promise<T>) => Promise<T>;

const atOnce: PageGate = (read) => read();

/**
 * Reads the messages with `after` < sequence <= `upTo` whose subject matches `filter`, in order and page by page. Direct gets need no
 * consumer, but a lagging replica may answer them, so it ends only at the message that the leader reports as the last.
 * @param gate limits concurrent page reads. The caller's own processing is outside of it, so slow callers do not block others.
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
      // Retention may have deleted it.
      const still = (await lastBySubject(broker, stream, filter))?.seq ?? 0;
      if (still < last && still <= at) return;
      lagging += LAG_PAUSE_MS;
      if (lagging > MAX_LAG_MS)
        throw new BrokerError(
          'unavailable',
          `A replica of ${stream} lags more than ${MAX_LAG_MS} ms behind its leader`,
        );
      await sleep(LAG_PAUSE_MS);
    }
  }
}

/** A lagging replica's answer has an error class that the client does not export. */
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
