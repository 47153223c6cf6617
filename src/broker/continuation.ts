import { randomInt } from 'node:crypto';
import { DeliverPolicy, type ConsumerConfig, type StreamConfig } from '@nats-io/jetstream';
import { check } from '../../contracts/wire/check.js';
import { InboxPosition } from '../../contracts/agents/messages.js';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { ConsumerSpec, StreamSpec } from '../../contracts/broker/topology.js';
import { parseJson } from '../json.js';
import type { Broker } from './connect.js';
import { isBrokerError } from './errors.js';
import { asBrokerError, lastBySubject, sourceOf, streamInfo } from './read.js';
import { readStream } from './replay.js';
import { TAKERS } from './source-watch.js';

/**
 * A stream that took from another takes the last hour again when it is made anew. Handling a message twice does no harm for as long as
 * idempotency keys are kept, which is a day; the messages of weeks would all be handled again.
 */
const TAKEN_AGAIN_MS = 3_600_000;

/**
 * Where a stream begins that stands in a lost one's place. Sequences and positions that others remember must stay behind it,
 * or they would skip what comes. @throws {BrokerError}
 */
export async function streamStart(broker: Broker, spec: StreamSpec): Promise<Partial<StreamConfig>> {
  const { name, sources = [] } = spec;
  const after = await lastKnownSeq(broker, name);
  const begun = await Promise.all(sources.map(async (source) => ({ ...source, ...(await takenFrom(broker, source)) })));
  return {
    ...(after === 0 ? {} : { first_seq: after + 1 }),
    ...(begun.length === 0 ? {} : { sources: begun }),
  };
}

function lastKnownSeq(broker: Broker, stream: string): number | Promise<number> {
  if (stream === STREAM.events) return takenSeq(broker);
  if (stream === STREAM.messages) return inboxSeq(broker);
  // Attempts under way acknowledge runs of the lost stream by their sequences, which no other run may have.
  return stream === STREAM.commands ? randomInt(FARTHEST_SEQ) : 0;
}

/** `randomInt` takes no more than 2^48. */
const FARTHEST_SEQ = 2 ** 47;

/** Where a consumer begins that is not there. @throws {BrokerError} */
export async function consumerStart(
  broker: Broker,
  { agentId }: Pick<ConsumerSpec, 'agentId'>,
): Promise<Partial<ConsumerConfig>> {
  if (agentId === undefined) return {};
  // Without it, all messages of a month would be delivered again.
  const seq = positionIn(await lastBySubject(broker, INBOXES, SUBJECT.inboxPosition(agentId)));
  return seq === 0 ? {} : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: seq + 1 };
}

/** The last sequence of KSI_EVENTS that another stream has taken: that stream asks for the next one. */
async function takenSeq(broker: Broker): Promise<number> {
  const taken = await Promise.all(
    TAKERS.map(async ({ stream, holds }) => {
      const info = await streamInfo(broker, stream);
      if (info === undefined) return 0;
      // What it has taken may be deleted since, so it is also asked itself; the client's type lacks the field.
      const asked = (info.sources ?? []).map((source) => (source as { readonly seq?: number }).seq ?? 0);
      return Math.max(sourceOf(await lastBySubject(broker, stream, holds)), ...asked);
    }),
  );
  return Math.max(...taken);
}

/**
 * Has the streams that take from a stream that was made anew begin again: by themselves they notice late (docs/design/facts.md#source-notices-late).
 * @throws {BrokerError}
 */
export async function takeAnew(broker: Broker, from: string): Promise<void> {
  for (const { stream } of TAKERS) {
    const config = (await streamInfo(broker, stream))?.config;
    if (config?.sources?.some(({ name }) => name === from) !== true) continue;
    try {
      await broker.jsm.streams.update(stream, { sources: [] });
      await broker.jsm.streams.update(stream, { sources: config.sources });
    } catch (error) {
      throw asBrokerError(error, `having ${stream} take from ${from} again`);
    }
  }
}

const INBOXES = `KV_${BUCKET.inboxes}`;

/** The furthest position of any inbox. */
async function inboxSeq(broker: Broker): Promise<number> {
  let furthest = 0;
  try {
    for await (const stored of readStream(broker, INBOXES, SUBJECT.inboxPosition('*'), 0, Number.MAX_SAFE_INTEGER))
      furthest = Math.max(furthest, positionIn(stored));
  } catch (error) {
    // The positions are lost too.
    if (!isBrokerError(error) || (await streamInfo(broker, INBOXES)) !== undefined) throw error;
  }
  return furthest;
}

function positionIn(stored: { readonly data: Uint8Array } | undefined): number {
  const position = stored === undefined ? undefined : check(InboxPosition, parseJson(stored.data));
  return position?.ok === true ? position.value.seq : 0;
}

/** By the broker's clock. */
async function takenFrom(broker: Broker, { name }: { readonly name: string }): Promise<{ opt_start_time?: string }> {
  const now = (await streamInfo(broker, name))?.ts;
  return now === undefined ? {} : { opt_start_time: new Date(Date.parse(now) - TAKEN_AGAIN_MS).toISOString() };
}
