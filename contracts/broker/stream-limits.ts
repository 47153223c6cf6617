import type { Config } from '../config/config.js';
import { BUCKET, STREAM } from '../wire/names.js';

const MIB = 1_048_576;
const GIB = 1_024 * MIB;

/** The least that a stream may be given. */
export const LEAST_STREAM_BYTES = MIB;

const kv = (bucket: string): string => `KV_${bucket}`;
const objects = (bucket: string): string => `OBJ_${bucket}`;

/** Bytes that each stream may take unless KSI_STREAM_MAX_BYTES says otherwise. KSI_COMMANDS and KSI_EVENTS have variables of their own. */
const DEFAULT_MAX_BYTES: Readonly<Record<string, number>> = {
  [STREAM.schedules]: 256 * MIB,
  [STREAM.messages]: 2 * GIB,
  [STREAM.dead]: 2 * GIB,
  [STREAM.ended]: GIB,
  [STREAM.transcripts]: 10 * GIB,
  [STREAM.audit]: GIB,
  [kv(BUCKET.idempotency)]: 2 * GIB,
  [kv(BUCKET.sessions)]: GIB,
  [kv(BUCKET.tokens)]: 64 * MIB,
  [kv(BUCKET.tickets)]: 64 * MIB,
  [kv(BUCKET.workers)]: 64 * MIB,
  [kv(BUCKET.identities)]: 256 * MIB,
  [kv(BUCKET.profiles)]: 256 * MIB,
  [kv(BUCKET.shared)]: 2 * GIB,
  [kv(BUCKET.exchanges)]: 256 * MIB,
  [kv(BUCKET.approvalRules)]: 64 * MIB,
  [kv(BUCKET.retention)]: 16 * MIB,
  [kv(BUCKET.workspaces)]: 16 * MIB,
  [kv(BUCKET.agents)]: 256 * MIB,
  [kv(BUCKET.agentPresence)]: 64 * MIB,
  [kv(BUCKET.inboxes)]: 256 * MIB,
  [kv(BUCKET.conversations)]: GIB,
  [kv(BUCKET.conversationLines)]: 2 * GIB,
  [objects(BUCKET.blobs)]: 10 * GIB,
  [objects(BUCKET.privateBlobs)]: 10 * GIB,
};

export type StreamLimits = Pick<Config, 'KSI_EVENTS_MAX_BYTES' | 'KSI_QUEUE_MAX_BYTES' | 'KSI_STREAM_MAX_BYTES'>;

/** Bytes that each stream may take, by its name. */
export const streamLimits = (config: StreamLimits): Readonly<Record<string, number>> => ({
  ...DEFAULT_MAX_BYTES,
  [STREAM.commands]: config.KSI_QUEUE_MAX_BYTES,
  [STREAM.events]: config.KSI_EVENTS_MAX_BYTES,
  // At least as much as KSI_EVENTS: a stream that is empty takes everything from its source anew.
  [STREAM.outcomes]: config.KSI_EVENTS_MAX_BYTES,
  ...Object.fromEntries(limitsIn(config.KSI_STREAM_MAX_BYTES)),
});

/** Streams that KSI_STREAM_MAX_BYTES may name. */
export const LIMITED_STREAMS: readonly string[] = [...Object.keys(DEFAULT_MAX_BYTES), STREAM.outcomes];

/** What KSI_STREAM_MAX_BYTES says. */
export const limitsIn = (text: string): (readonly [stream: string, bytes: number])[] =>
  text
    .split(',')
    .filter((item) => item !== '')
    .map((item) => {
      const [stream = '', bytes = ''] = item.split('=');
      return [stream, Number(bytes)];
    });

/** What the broker adds to what the streams hold: its own records, and files that it rewrites. */
const BROKERS_OWN = GIB;

/** Bytes that the store of a nats-server may take: it reserves each stream's limit, and refuses a stream beyond this. */
export const storeLimit = (config: StreamLimits): number =>
  Object.values(streamLimits(config)).reduce((sum, bytes) => sum + bytes, BROKERS_OWN);
