import type { Config } from '../config/config.js';
import { EXCHANGE_RECORDS } from '../access/exchanges.js';
import { TICKET_RECORDS, TOKEN_RECORDS } from '../access/tokens.js';
import { AGENT_PRESENCE_RECORDS, AGENT_RECORDS } from '../agents/agents.js';
import { IDENTITY_RECORDS } from '../agents/identities.js';
import { INBOX_POSITIONS } from '../agents/messages.js';
import { PROFILE_RECORDS } from '../agents/profiles.js';
import { SHARED_RECORDS } from '../agents/shared.js';
import { ANSWER_MESSAGE, CONVERSATION_RECORDS } from '../conversations/conversations.js';
import { RETENTION_RECORDS } from '../retention/retention.js';
import { SESSION_RECORDS } from '../sessions/sessions.js';
import { APPROVAL_RULES } from '../tasks/approval-rules.js';
import { IDEMPOTENCY_RECORDS } from '../tasks/idempotency.js';
import { WORKSPACE_PLACES } from '../tasks/workspace.js';
import type { RecordKind } from '../wire/record-kind.js';
import { BUCKET, LANES, NOBODY, STREAM, SUBJECT, CONSUMER, type Lane } from '../wire/names.js';
import { streamLimits } from './stream-limits.js';
import { isEnded, TASK_STATES, TASK_STATUSES } from '../tasks/states.js';
import { PRESENCE_TTL_S } from '../tasks/workers.js';

/**
 * The streams and consumers as they must be, in the field names of the JetStream API (durations in nanoseconds).
 * The broker is strict: a field that it doesn't know is refused (10025).
 */
const OUTCOMES = TASK_STATUSES.filter((status) => isEnded(status)).map((status) => TASK_STATES[status].token);

const seconds = (n: number): number => n * 1_000_000_000;

/** A killed leader of a compressed stream with replicas damages its last block (docs/adr/0023). */
const compressionOf = ({ KSI_NATS_SERVERS }: Pick<Config, 'KSI_NATS_SERVERS'>): 's2' | 'none' =>
  KSI_NATS_SERVERS > 1 ? 'none' : 's2';

export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly max_consumers?: number;
  readonly sources?: readonly { readonly name: string; readonly [field: string]: unknown }[];
  readonly [field: string]: unknown;
}

export const streamSpecs = (
  config: Pick<
    Config,
    | 'KSI_QUEUES'
    | 'KSI_QUEUE_MAX'
    | 'KSI_QUEUE_MAX_BYTES'
    | 'KSI_STREAM_MAX_BYTES'
    | 'KSI_EVENTS_MAX_AGE_S'
    | 'KSI_EVENTS_MAX_BYTES'
    | 'KSI_RETENTION_EXCHANGES_S'
    | 'KSI_NATS_SERVERS'
  >,
): readonly StreamSpec[] => {
  const limits = streamLimits(config);
  return unlimitedSpecs(config).map((spec) => ({ ...spec, max_bytes: limits[spec.name] }));
};

/** Every stream has a limit of bytes besides (stream-limits.ts). */
const unlimitedSpecs = (
  config: Pick<
    Config,
    'KSI_QUEUES' | 'KSI_QUEUE_MAX' | 'KSI_EVENTS_MAX_AGE_S' | 'KSI_RETENTION_EXCHANGES_S' | 'KSI_NATS_SERVERS'
  >,
): readonly StreamSpec[] => [
  {
    name: STREAM.commands,
    description: 'Tasks that are not ended: one run per session, and those that wait for it',
    subjects: [SUBJECT.commandsAll],
    retention: 'workqueue',
    storage: 'file',
    num_replicas: config.KSI_NATS_SERVERS,
    // Refuse rather than lose: the API answers 429.
    discard: 'new',
    max_msgs: config.KSI_QUEUE_MAX * config.KSI_QUEUES.split(',').length,
    allow_direct: true,
    allow_atomic: true,
  },
  {
    name: STREAM.schedules,
    description: 'What is to happen at a time, and what is due',
    subjects: [SUBJECT.schedulesAll, SUBJECT.dueAll],
    // What is due goes when it is acknowledged; a schedule when it fires. A limit drops pending ones, which the sweepers make again.
    retention: 'workqueue',
    storage: 'file',
    num_replicas: config.KSI_NATS_SERVERS,
    allow_msg_schedules: true,
    allow_direct: true,
  },
  {
    name: STREAM.events,
    description: 'Everything that happened; published on ksi.ingest.events.>, stored and republished as ksi.events.>',
    subjects: [SUBJECT.ingestAll],
    subject_transform: { src: SUBJECT.ingestAll, dest: SUBJECT.eventsAll },
    republish: { src: SUBJECT.eventsAll, dest: SUBJECT.eventsAll },
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    discard: 'new',
    max_age: seconds(config.KSI_EVENTS_MAX_AGE_S),
    // All of them are readers': KSI has no consumer here (docs/adr/0024).
    max_consumers: READERS_CONSUMERS,
    allow_direct: true,
    allow_atomic: true,
  },
  {
    name: STREAM.messages,
    description: 'The inboxes of agents: what KSI_EVENTS stores as a message or a copy, for longer',
    // Nobody publishes here: a message is an event first (ADR 17).
    subjects: [],
    sources: [
      {
        name: STREAM.events,
        subject_transforms: ['message', 'copy'].map((kind) => ({
          src: `ksi.events.agent.*.${kind}.*`,
          dest: 'ksi.messages.{{wildcard(2)}}.{{wildcard(1)}}',
        })),
      },
    ],
    // Says that something came, to who waits for it.
    republish: { src: SUBJECT.messagesAll, dest: SUBJECT.mailStoredAll, headers_only: true },
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    max_age: seconds(MESSAGES_MAX_AGE_S),
    allow_direct: true,
  },
  {
    name: STREAM.outcomes,
    description:
      'Outcomes of tasks, taken from KSI_EVENTS: readers of that stream cannot reach the consumer of this one',
    subjects: [],
    sources: [
      {
        name: STREAM.events,
        subject_transforms: OUTCOMES.map((token) => ({
          src: SUBJECT.taskState('*', token),
          // With the task's id, so that a task can be deleted.
          dest: SUBJECT.outcome('{{wildcard(1)}}', token),
        })),
      },
    ],
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    // At least as long as KSI_EVENTS: a stream that is empty takes everything from its source anew.
    max_age: seconds(config.KSI_EVENTS_MAX_AGE_S),
    discard: 'old',
    allow_direct: true,
  },
  {
    name: STREAM.dead,
    description: 'Tasks that were given up, each with its whole command and history',
    subjects: [SUBJECT.deadAll],
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    discard: 'new',
    max_age: seconds(30 * 86_400),
    allow_direct: true,
    allow_atomic: true,
  },
  {
    name: STREAM.ended,
    description: 'Commands of ended tasks, for a retry by hand; the oldest go first',
    subjects: [SUBJECT.endedAll],
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    // A convenience: it must never hold up the end of a task.
    discard: 'old',
    max_age: seconds(config.KSI_EVENTS_MAX_AGE_S),
    allow_direct: true,
  },
  {
    name: STREAM.transcripts,
    description: "Claude's session transcripts, in order, so that any worker resumes any session",
    subjects: ['ksi.transcripts.>'],
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    discard: 'new',
    allow_direct: true,
    allow_atomic: true,
  },
  {
    name: STREAM.audit,
    description: 'Who changed what, with what result',
    subjects: [SUBJECT.auditAll],
    retention: 'limits',
    storage: 'file',
    compression: compressionOf(config),
    num_replicas: config.KSI_NATS_SERVERS,
    // At its limit the oldest entries go: it must never hold up an operation.
    discard: 'old',
    max_age: seconds(365 * 86_400),
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
    allow_atomic: true,
  },
  bucket(IDEMPOTENCY_RECORDS, 'Which task an Idempotency-Key made, for 24 h', config),
  bucket(SESSION_RECORDS, 'Names of sessions, and owners of sessions that have no task', config),
  bucket(TOKEN_RECORDS, 'Tokens, by their ids, with the hashes of their secrets', config),
  bucket(TICKET_RECORDS, 'Tickets for one connection each, by their hashes', config),
  bucket(IDENTITY_RECORDS, 'Who agents are to people, by owner', config),
  bucket(APPROVAL_RULES, 'What owners allow without being asked again', config),
  bucket(PROFILE_RECORDS, 'What agents of a kind are and how they run, by owner', config),
  bucket(SHARED_RECORDS, 'State that agents share, by owner and key', config),
  bucket({ bucket: BUCKET.workers, ttlS: PRESENCE_TTL_S }, 'The workers that there are, each in its own words', config),
  bucket(
    { ...EXCHANGE_RECORDS, ttlS: config.KSI_RETENTION_EXCHANGES_S },
    'What exchanges of agents have had of their limits',
    config,
  ),
  bucket(RETENTION_RECORDS, "Owners' own ages of what is kept, and which API sees to it", config),
  bucket(WORKSPACE_PLACES, 'Who writes in each workspace, and who waits', config),
  bucket(AGENT_RECORDS, 'The agents that there are', config),
  bucket(AGENT_PRESENCE_RECORDS, 'External agents whose clients read their inboxes', config),
  bucket(CONVERSATION_RECORDS, 'Conversations of agents', config),
  bucket({ bucket: BUCKET.conversationLines }, 'What was said in them', config),
  bucket(INBOX_POSITIONS, 'Up to where each agent has taken its messages', config),
  objectStore(BUCKET.blobs, 'Bodies of events too large for a message', config.KSI_NATS_SERVERS),
  objectStore(
    BUCKET.privateBlobs,
    'Other bodies too large for a message, with prompts and transcripts',
    config.KSI_NATS_SERVERS,
  ),
];

/** Consumers of events that readers may have at a time, all together. Many of them slow down publishing. */
export const READERS_CONSUMERS = 500;
/** How long an inbox keeps a message that nobody takes. */
export const MESSAGES_MAX_AGE_S = 30 * 86_400;
/** How long the broker keeps the mark of an entry of a watched bucket that expired, for the processes that were away. */
export const KV_MARK_S = 86_400;

/** The stream of a KV bucket, as its clients make one. */
const bucket = (
  { bucket: name, ttlS = 0, markS = 0, watched }: Bucket,
  description: string,
  { KSI_NATS_SERVERS }: Pick<Config, 'KSI_NATS_SERVERS'>,
): StreamSpec => ({
  name: `KV_${name}`,
  description,
  subjects: [SUBJECT.kvAll(name)],
  retention: 'limits',
  storage: 'file',
  num_replicas: KSI_NATS_SERVERS,
  discard: 'new',
  max_age: seconds(ttlS),
  max_msgs_per_subject: 1,
  allow_rollup_hdrs: true,
  deny_delete: true,
  allow_direct: true,
  // For the marks of deletions, which expire.
  ...(markS > 0 ? { allow_msg_ttl: true } : {}),
  // Each entry is republished once it is stored. That the broker removed one is known for a day.
  ...(watched === true
    ? {
        republish: { src: SUBJECT.kvAll(name), dest: SUBJECT.kvStored(name) },
        subject_delete_marker_ttl: seconds(KV_MARK_S),
      }
    : {}),
});

type Bucket = Pick<RecordKind<never, never>, 'bucket' | 'ttlS' | 'markS' | 'watched'>;

/** The stream of an object store, as its clients make one. */
const objectStore = (name: string, description: string, replicas: number): StreamSpec => ({
  name: `OBJ_${name}`,
  description,
  subjects: [`$O.${name}.C.>`, `$O.${name}.M.>`],
  retention: 'limits',
  storage: 'file',
  num_replicas: replicas,
  discard: 'new',
  allow_rollup_hdrs: true,
  allow_direct: true,
});

export interface LaneSpec {
  readonly queue: string;
  readonly lane: Lane;
  readonly name: string;
}

/** The consumers of a queue, one for each lane. */
export const laneSpecs = (queues: readonly string[]): readonly LaneSpec[] =>
  queues.flatMap((queue) => LANES.map((lane) => ({ queue, lane, name: CONSUMER.lane(queue, lane) })));

/**
 * Count the tasks of a queue that no lane has, for whoever asks after them: the stream's own figures know no queues, and
 * listing the subjects of a long queue takes long.
 */
const countingConsumers = (queue: string) => [
  {
    durable_name: CONSUMER.waiting(queue),
    filter_subject: SUBJECT.queueWaiting(queue),
    ack_policy: 'explicit' as const,
  },
  {
    durable_name: CONSUMER.parked(queue),
    filter_subject: SUBJECT.queueParked(queue),
    ack_policy: 'explicit' as const,
  },
];

/** Of what is due: an API that dies with it, or can't do it now, leaves it to another after 30 s. */
const DUE_CONSUMER = {
  durable_name: CONSUMER.due,
  filter_subject: SUBJECT.dueAll,
  ack_policy: 'explicit' as const,
  ack_wait: seconds(30),
  max_ack_pending: -1,
  max_deliver: -1,
};

/** Says that there are messages for a managed agent; whoever reads its inbox finds them. */
const ROUTER_CONSUMER = {
  durable_name: CONSUMER.router,
  filter_subject: SUBJECT.messagesAll,
  ack_policy: 'explicit' as const,
  ack_wait: seconds(10),
  max_ack_pending: -1,
  max_deliver: -1,
};

/** Outcomes, of which those of agents' tasks are answered. */
const ANSWERS_CONSUMER = {
  durable_name: CONSUMER.answers,
  filter_subject: SUBJECT.outcomesAll,
  ack_policy: 'explicit' as const,
  ack_wait: seconds(10),
  max_ack_pending: -1,
  max_deliver: -1,
};

/** What agents answer in conversations: each answer brings the next turn. */
const CONVERSATIONS_CONSUMER = {
  durable_name: CONSUMER.conversations,
  filter_subject: SUBJECT.messageStored(ANSWER_MESSAGE, NOBODY),
  ack_policy: 'explicit' as const,
  ack_wait: seconds(10),
  max_ack_pending: -1,
  max_deliver: -1,
};

/** Of an agent that connects to the broker itself: it pulls and acknowledges there. */
const nativeInboxConsumer = (agentId: string) => ({
  durable_name: CONSUMER.nativeInbox(agentId),
  filter_subject: SUBJECT.inbox(agentId),
  ack_policy: 'explicit' as const,
  ack_wait: seconds(30),
  // Order: what is unacknowledged is delivered again before anything newer (ADR 41).
  max_ack_pending: 1,
  max_deliver: -1,
  // Each acknowledgement is told, so that the sender gets its receipt.
  sample_freq: '100%',
});

/** The consumers that together count all that stands in a queue. */
export const queueConsumers = (queue: string): readonly string[] => [
  ...LANES.map((lane) => CONSUMER.lane(queue, lane)),
  CONSUMER.waiting(queue),
  CONSUMER.parked(queue),
];

const laneConsumer = (spec: LaneSpec, leaseS: number) => ({
  durable_name: spec.name,
  filter_subject: SUBJECT.laneRuns(spec.queue, spec.lane),
  ack_policy: 'explicit' as const,
  // The lease: a run whose worker is silent for so long is delivered to another.
  ack_wait: seconds(leaseS),
  // docs/design/broker-protocol.md#no-ack-limit and #no-delivery-limit: KSI counts attempts itself.
  max_ack_pending: -1,
  max_deliver: -1,
});

export interface ConsumerSpec {
  readonly stream: string;
  /** The agent whose inbox it delivers. */
  readonly agentId?: string;
  readonly consumer: {
    readonly durable_name: string;
    readonly filter_subject: string;
    readonly ack_policy: 'explicit';
  };
}

/** Every durable consumer of KSI. None may be on a stream from which readers may consume (docs/adr/0024). */
export const consumerSpecs = (
  config: Pick<Config, 'KSI_QUEUES' | 'KSI_LEASE_S' | 'KSI_NATS_AGENTS'>,
): readonly ConsumerSpec[] => {
  const queues = itemsOf(config.KSI_QUEUES);
  return [
    ...laneSpecs(queues)
      .map((spec) => laneConsumer(spec, config.KSI_LEASE_S))
      .map(on(STREAM.commands)),
    ...queues.flatMap(countingConsumers).map(on(STREAM.commands)),
    ...[DUE_CONSUMER].map(on(STREAM.schedules)),
    ...[ROUTER_CONSUMER, CONVERSATIONS_CONSUMER].map(on(STREAM.messages)),
    ...[ANSWERS_CONSUMER].map(on(STREAM.outcomes)),
    ...itemsOf(config.KSI_NATS_AGENTS).map((agentId) => ({
      ...on(STREAM.messages)(nativeInboxConsumer(agentId)),
      agentId,
    })),
  ];
};

const on =
  (stream: string) =>
  (consumer: ConsumerSpec['consumer']): ConsumerSpec => ({ stream, consumer });

const itemsOf = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
