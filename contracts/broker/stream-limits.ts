import type { Config } from '../config/config.js';
import { BUCKET, STREAM } from '../wire/names.js';

const MIB = 1_048_576;
const GIB = 1_024 * MIB;

/** The smallest limit of a stream. */
export const MIN_STREAM_BYTES = MIB;

const kv = (bucket: string): string => `KV_${bucket}`;
const objects = (bucket: string): string => `OBJ_${bucket}`;

/** Default size limits in bytes, overridden by KSI_STREAM_MAX_BYTES. KSI_COMMANDS and KSI_EVENTS have their own variables. */
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

/** Size limits in bytes by stream name. */
export const streamLimits = (config: StreamLimits): Readonly<Record<string, number>> => ({
  ...DEFAULT_MAX_BYTES,
  [STREAM.commands]: config.KSI_QUEUE_MAX_BYTES,
  [STREAM.events]: config.KSI_EVENTS_MAX_BYTES,
  // At least as much as KSI_EVENTS: nats-server sources everything again into an empty stream.
  [STREAM.outcomes]: config.KSI_EVENTS_MAX_BYTES,
  ...Object.fromEntries(limitsIn(config.KSI_STREAM_MAX_BYTES)),
});

/** Streams that KSI_STREAM_MAX_BYTES may limit. */
export const LIMITED_STREAMS: readonly string[] = [...Object.keys(DEFAULT_MAX_BYTES), STREAM.outcomes];

/** Parses KSI_STREAM_MAX_BYTES. */
export const limitsIn = (text: string): (readonly [stream: string, bytes: number])[] =>
  text
    .split(',')
    .filter((item) => item !== '')
    .map((item) => {
      const [stream = '', bytes = ''] = item.split('=');
      return [stream, Number(bytes)];
    });

/** Space for the broker's own records and for files that it rewrites. */
const OVERHEAD_BYTES = GIB;

/** The size limit of a nats-server's store in bytes. The server reserves each stream's limit, and refuses a stream that exceeds the rest. */
export const storeLimit = (config: StreamLimits): number =>
  Object.values(streamLimits(config)).reduce((sum, bytes) => sum + bytes, OVERHEAD_BYTES);
