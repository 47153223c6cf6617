import { randomInt } from 'node:crypto';
import { DeliverPolicy, type ConsumerConfig, type StreamConfig } from '@nats-io/jetstream';
import { check } from '../../contracts/wire/check.js';
import { InboxCursorRecord } from '../../contracts/agents/messages.js';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { ConsumerSpec, StreamSpec } from '../../contracts/broker/topology.js';
import { parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { isBrokerError } from './errors.js';
import { asBrokerError, lastBySubject, sourceOf, streamInfo } from './read.js';
import { readStream } from './replay.js';
import { SOURCED_STREAMS } from './source-watch.js';

/**
 * A re-created stream sources the last hour again. Handling a message twice is harmless while idempotency keys are kept, for a day.
 * Sourcing everything would handle the messages of weeks again.
 */
const RESOURCED_MS = 3_600_000;

/**
 * The start of a stream that replaces a lost one. It must be past every sequence that others remember, or they would skip new messages.
 * @throws {BrokerError}
 */
export async function firstSequence(broker: Broker, spec: StreamSpec): Promise<Partial<StreamConfig>> {
  const { name, sources = [] } = spec;
  const after = await lastKnownSeq(broker, name);
  const started = await Promise.all(
    sources.map(async (source) => ({ ...source, ...(await sourceStart(broker, source)) })),
  );
  return {
    ...(after === 0 ? {} : { first_seq: after + 1 }),
    ...(started.length === 0 ? {} : { sources: started }),
  };
}

function lastKnownSeq(broker: Broker, stream: string): number | Promise<number> {
  if (stream === STREAM.events) return sourcedSeq(broker);
  if (stream === STREAM.messages) return inboxSeq(broker);
  // Running attempts acknowledge runs of the lost stream by sequence. A random start keeps new runs from having the same ones.
  return stream === STREAM.commands ? randomInt(MAX_START_SEQ) : 0;
}

/** `randomInt` accepts less than 2^48. */
const MAX_START_SEQ = 2 ** 47;

/** The start of a consumer that does not exist yet. @throws {BrokerError} */
export async function consumerStart(
  broker: Broker,
  { agentId }: Pick<ConsumerSpec, 'agentId'>,
): Promise<Partial<ConsumerConfig>> {
  if (agentId === undefined) return {};
  // By default it would deliver the messages of a month again.
  const seq = positionIn(await lastBySubject(broker, INBOXES, SUBJECT.inboxCursor(agentId)));
  return seq === 0 ? {} : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: seq + 1 };
}

/** The last sequence of KSI_EVENTS that another stream has sourced. That stream requests the next one. */
async function sourcedSeq(broker: Broker): Promise<number> {
  const sourced = await Promise.all(
    SOURCED_STREAMS.map(async ({ stream, holds }) => {
      const info = await streamInfo(broker, stream);
      if (info === undefined) return 0;
      // Sourced messages may be deleted by now, so the stream's own state counts too. The client's type lacks `seq`.
      const reported = (info.sources ?? []).map((source) => (source as { readonly seq?: number }).seq ?? 0);
      return Math.max(sourceOf(await lastBySubject(broker, stream, holds)), ...reported);
    }),
  );
  return Math.max(...sourced);
}

/**
 * Restarts the sourcing of streams whose source was re-created: on their own they notice it late (docs/design/facts.md#source-notices-late).
 * @throws {BrokerError}
 */
export async function resumeSources(broker: Broker, from: string): Promise<void> {
  for (const { stream } of SOURCED_STREAMS) {
    const config = (await streamInfo(broker, stream))?.config;
    if (config?.sources?.some(({ name }) => name === from) !== true) continue;
    try {
      await broker.jsm.streams.update(stream, { sources: [] });
      await broker.jsm.streams.update(stream, { sources: config.sources });
    } catch (error) {
      throw asBrokerError(error, `restarting the sourcing of ${stream} from ${from}`);
    }
  }
}

const INBOXES = `KV_${BUCKET.inboxes}`;

/** The highest position of any inbox. */
async function inboxSeq(broker: Broker): Promise<number> {
  let furthest = 0;
  try {
    for await (const stored of readStream(broker, INBOXES, SUBJECT.inboxCursor('*'), 0, Number.MAX_SAFE_INTEGER))
      furthest = Math.max(furthest, positionIn(stored));
  } catch (error) {
    // Ignore the error only if the positions are lost too.
    if (!isBrokerError(error) || (await streamInfo(broker, INBOXES)) !== undefined) throw error;
  }
  return furthest;
}

function positionIn(stored: { readonly data: Uint8Array } | undefined): number {
  const position = stored === undefined ? undefined : check(InboxCursorRecord, parseJson(stored.data));
  return position?.ok === true ? position.value.seq : 0;
}

/** The time is the broker's. */
async function sourceStart(broker: Broker, { name }: { readonly name: string }): Promise<{ opt_start_time?: string }> {
  const now = (await streamInfo(broker, name))?.ts;
  return now === undefined ? {} : { opt_start_time: new Date(Date.parse(now) - RESOURCED_MS).toISOString() };
}
