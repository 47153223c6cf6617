import type { Config } from '../config/config.js';
import { EXCHANGE_RECORDS } from '../access/exchanges.js';
import { TICKET_RECORDS, TOKEN_RECORDS } from '../access/tokens.js';
import { AGENT_PRESENCE_RECORDS, AGENT_RECORDS } from '../agents/agents.js';
import { IDENTITY_RECORDS } from '../agents/identities.js';
import { INBOX_CURSORS } from '../agents/messages.js';
import { PROFILE_RECORDS } from '../agents/profiles.js';
import { SHARED_RECORDS } from '../agents/shared.js';
import { ANSWER_MESSAGE, CONVERSATION_RECORDS } from '../conversations/conversations.js';
import { RETENTION_RECORDS } from '../retention/retention.js';
import { SESSION_RECORDS } from '../sessions/sessions.js';
import { APPROVAL_RULES } from '../tasks/approval-rules.js';
import { IDEMPOTENCY_RECORDS } from '../tasks/idempotency.js';
import { WORKSPACE_PLACES } from '../tasks/workspace.js';
import type { RecordKind } from '../wire/record-kind.js';
import { BUCKET, RUN_PRIORITIES, NOBODY, STREAM, SUBJECT, CONSUMER, type RunPriority } from '../wire/names.js';
import { streamLimits, type StreamLimits } from './stream-limits.js';
import { isEnded, TASK_STATES, TASK_STATUSES } from '../tasks/states.js';
import { PRESENCE_TTL_S } from '../tasks/workers.js';

/**
 * The streams and consumers of KSI, with the field names of the JetStream API (durations in nanoseconds).
 * The broker refuses unknown fields (10025).
 */
const OUTCOMES = TASK_STATUSES.filter((status) => isEnded(status)).map((status) => TASK_STATES[status].token);

const seconds = (n: number): number => n * 1_000_000_000;

export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly max_consumers?: number;
  readonly sources?: readonly { readonly name: string; readonly [field: string]: unknown }[];
  readonly [field: string]: unknown;
}

type StreamConfig = StreamLimits &
  Pick<
    Config,
    'KSI_QUEUES' | 'KSI_QUEUE_MAX' | 'KSI_EVENTS_MAX_AGE_S' | 'KSI_RETENTION_EXCHANGES_S' | 'KSI_NATS_SERVERS'
  >;

export const streamSpecs = (config: StreamConfig): readonly StreamSpec[] => {
  const limits = streamLimits(config);
  return unlimitedSpecs(config).map((spec) => ({ ...spec, max_bytes: limits[spec.name] }));
};

/** The streams without their size limits (stream-limits.ts). */
const unlimitedSpecs = (config: StreamConfig): readonly StreamSpec[] => {
  const stored = { storage: 'file', num_replicas: config.KSI_NATS_SERVERS, allow_direct: true };
  // If the leader of a compressed stream with replicas is killed, its last block is damaged (docs/adr/0023).
  const log = { ...stored, retention: 'limits', compression: config.KSI_NATS_SERVERS > 1 ? 'none' : 's2' };
  const eventsAge = seconds(config.KSI_EVENTS_MAX_AGE_S);
  return [
    {
      ...stored,
      name: STREAM.commands,
      description: 'Open tasks: one run per session, and waiting entries',
      subjects: [SUBJECT.commandsAll],
      retention: 'workqueue',
      // At its limit the stream refuses tasks, and the API answers 429.
      discard: 'new',
      max_msgs: config.KSI_QUEUE_MAX * config.KSI_QUEUES.split(',').length,
      allow_atomic: true,
    },
    {
      ...stored,
      name: STREAM.schedules,
      description: 'Schedules, and messages that are due',
      subjects: [SUBJECT.schedulesAll, SUBJECT.dueAll],
      // At the size limit the oldest pending schedules are dropped. The sweepers create them again.
      retention: 'workqueue',
      allow_msg_schedules: true,
    },
    {
      ...log,
      name: STREAM.events,
      description: 'All events; published on ksi.ingest.events.>, stored and republished as ksi.events.>',
      subjects: [SUBJECT.ingestAll],
      subject_transform: { src: SUBJECT.ingestAll, dest: SUBJECT.eventsAll },
      republish: { src: SUBJECT.eventsAll, dest: SUBJECT.eventsAll },
      discard: 'new',
      max_age: eventsAge,
      // All of them are for readers: KSI has no consumer here (docs/adr/0024).
      max_consumers: READERS_CONSUMERS,
      allow_atomic: true,
    },
    {
      ...log,
      name: STREAM.messages,
      description: 'The inboxes of agents: messages and copies from KSI_EVENTS, kept longer',
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
      // Notifies readers of an inbox.
      republish: { src: SUBJECT.messagesAll, dest: SUBJECT.mailStoredAll, headers_only: true },
      max_age: seconds(MESSAGES_MAX_AGE_S),
    },
    {
      ...log,
      name: STREAM.outcomes,
      description:
        'Outcomes of tasks, sourced from KSI_EVENTS: readers of that stream cannot reach the consumer of this one',
      subjects: [],
      sources: [
        {
          name: STREAM.events,
          subject_transforms: OUTCOMES.map((token) => ({
            src: SUBJECT.taskState('*', token),
            // The task's id allows to delete the messages of a task.
            dest: SUBJECT.outcome('{{wildcard(1)}}', token),
          })),
        },
      ],
      // At least as long as KSI_EVENTS: nats-server sources everything again into an empty stream.
      max_age: eventsAge,
      discard: 'old',
    },
    {
      ...log,
      name: STREAM.dead,
      description: 'Dead letters, with command and history',
      subjects: [SUBJECT.deadAll],
      discard: 'new',
      max_age: seconds(30 * 86_400),
      allow_atomic: true,
    },
    {
      ...log,
      name: STREAM.ended,
      description: 'Commands of ended tasks, for manual retries; at the limit the oldest are dropped',
      subjects: [SUBJECT.endedAll],
      // A convenience: it must never delay the end of a task.
      discard: 'old',
      max_age: eventsAge,
    },
    {
      ...log,
      name: STREAM.transcripts,
      description: "Claude's session transcripts, so that any worker can resume any session",
      subjects: ['ksi.transcripts.>'],
      discard: 'new',
      allow_atomic: true,
    },
    {
      ...log,
      name: STREAM.audit,
      description: 'The audit log: who changed what, and the result',
      subjects: [SUBJECT.auditAll],
      // At the limit the oldest entries are dropped: the log must never block an operation.
      discard: 'old',
      max_age: seconds(365 * 86_400),
      deny_delete: true,
      deny_purge: true,
      allow_atomic: true,
    },
    ...BUCKETS.map(([kind, description]) => bucket(kind, description, config.KSI_NATS_SERVERS)),
    bucket(
      { ...EXCHANGE_RECORDS, ttlS: config.KSI_RETENTION_EXCHANGES_S },
      'How much of their limits exchanges of agents have used',
      config.KSI_NATS_SERVERS,
    ),
    objectStore(BUCKET.blobs, 'Bodies of events too large for a message', config.KSI_NATS_SERVERS),
    objectStore(
      BUCKET.privateBlobs,
      'Other bodies too large for a message, with prompts and transcripts',
      config.KSI_NATS_SERVERS,
    ),
  ];
};

type Bucket = Pick<RecordKind<never, never>, 'bucket' | 'ttlS' | 'markS' | 'watched'>;

const BUCKETS: readonly (readonly [Bucket, description: string])[] = [
  [IDEMPOTENCY_RECORDS, 'The tasks of idempotency keys, for 24 h'],
  [SESSION_RECORDS, 'Names of sessions, and owners of sessions without tasks'],
  [TOKEN_RECORDS, 'Tokens by id, with the hashes of their secrets'],
  [TICKET_RECORDS, 'Tickets for one connection each, by hash'],
  [IDENTITY_RECORDS, 'Identities of agents, by owner'],
  [APPROVAL_RULES, 'Approval rules, by owner'],
  [PROFILE_RECORDS, 'Profiles of agents, by owner'],
  [SHARED_RECORDS, 'Shared state of agents, by owner and key'],
  [{ bucket: BUCKET.workers, ttlS: PRESENCE_TTL_S }, 'Presence entries of workers'],
  [RETENTION_RECORDS, "Owners' retention settings, and which API applies them"],
  [WORKSPACE_PLACES, 'Writers and waiting tasks of each workspace root'],
  [AGENT_RECORDS, 'Registered agents'],
  [AGENT_PRESENCE_RECORDS, 'External agents whose clients read their inboxes'],
  [CONVERSATION_RECORDS, 'Conversations of agents'],
  [{ bucket: BUCKET.conversationLines }, 'Transcripts of conversations'],
  [INBOX_CURSORS, 'Inbox cursors of agents'],
];

/** The limit on readers' consumers of events, in total. Many consumers slow down publishing. */
export const READERS_CONSUMERS = 500;
/** How long an inbox keeps an unacknowledged message. */
export const MESSAGES_MAX_AGE_S = 30 * 86_400;
/** How long the broker keeps the deletion marker of an expired entry in a watched bucket, for processes that were down. */
export const KV_MARK_S = 86_400;

/** The stream of a KV bucket, as NATS clients create it. */
const bucket = (
  { bucket: name, ttlS = 0, markS = 0, watched }: Bucket,
  description: string,
  replicas: number,
): StreamSpec => ({
  name: `KV_${name}`,
  description,
  subjects: [SUBJECT.kvAll(name)],
  retention: 'limits',
  storage: 'file',
  num_replicas: replicas,
  discard: 'new',
  max_age: seconds(ttlS),
  max_msgs_per_subject: 1,
  allow_rollup_hdrs: true,
  deny_delete: true,
  allow_direct: true,
  // Deletion markers expire.
  ...(markS > 0 ? { allow_msg_ttl: true } : {}),
  ...(watched === true
    ? {
        republish: { src: SUBJECT.kvAll(name), dest: SUBJECT.kvStored(name) },
        subject_delete_marker_ttl: seconds(KV_MARK_S),
      }
    : {}),
});

/** The stream of an object store, as NATS clients create it. */
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

export interface PrioritySpec {
  readonly queue: string;
  readonly runPriority: RunPriority;
  readonly name: string;
}

/** The consumers of a queue, one for each priority. */
export const prioritySpecs = (queues: readonly string[]): readonly PrioritySpec[] =>
  queues.flatMap((queue) =>
    RUN_PRIORITIES.map((runPriority) => ({ queue, runPriority: runPriority, name: CONSUMER.run(queue, runPriority) })),
  );

const consumer = (name: string, filter: string) => ({
  durable_name: name,
  filter_subject: filter,
  ack_policy: 'explicit' as const,
});

/**
 * A consumer whose messages are redelivered, without limit, if they are not acknowledged in time
 * (docs/design/broker-protocol.md#no-ack-limit, #no-delivery-limit: KSI counts attempts itself).
 */
const workConsumer = (name: string, filter: string, ackWaitS: number) => ({
  ...consumer(name, filter),
  ack_wait: seconds(ackWaitS),
  max_ack_pending: -1,
  max_deliver: -1,
});

/**
 * Count the waiting and parked tasks of a queue, which no worker pulls. Streams have no counts by queue, and listing the subjects of a long
 * queue is slow.
 */
const countingConsumers = (queue: string) => [
  consumer(CONSUMER.waiting(queue), SUBJECT.queueWaiting(queue)),
  consumer(CONSUMER.parked(queue), SUBJECT.queueParked(queue)),
];

/** Delivers due messages of schedules. */
const DUE_CONSUMER = workConsumer(CONSUMER.due, SUBJECT.dueAll, 30);

/** Notifies an API of messages for a managed agent. The API then reads the inbox. */
const ROUTER_CONSUMER = workConsumer(CONSUMER.router, SUBJECT.messagesAll, 10);

/** Delivers outcomes, so that the tasks of agents are answered. */
const ANSWERS_CONSUMER = workConsumer(CONSUMER.answers, SUBJECT.outcomesAll, 10);

/** Delivers agents' answers in conversations: each answer leads to the next turn. */
const CONVERSATIONS_CONSUMER = workConsumer(CONSUMER.conversations, SUBJECT.messageStored(ANSWER_MESSAGE, NOBODY), 10);

/** The inbox of a NATS agent, which pulls and acknowledges at the broker itself. */
const nativeInboxConsumer = (agentId: string) => ({
  ...workConsumer(CONSUMER.nativeInbox(agentId), SUBJECT.inbox(agentId), 30),
  // For order: an unacknowledged message is redelivered before anything newer (ADR 41).
  max_ack_pending: 1,
  // Each acknowledgement is published, so that the sender gets a receipt.
  sample_freq: '100%',
});

/** The consumers that together count all tasks of a queue. */
export const queueConsumers = (queue: string): readonly string[] => [
  ...RUN_PRIORITIES.map((runPriority) => CONSUMER.run(queue, runPriority)),
  CONSUMER.waiting(queue),
  CONSUMER.parked(queue),
];

export interface ConsumerSpec {
  readonly stream: string;
  /** The agent whose inbox the consumer delivers. */
  readonly agentId?: string;
  readonly consumer: {
    readonly durable_name: string;
    readonly filter_subject: string;
    readonly ack_policy: 'explicit';
  };
}

/** All durable consumers of KSI. None may be on a stream that readers may consume (docs/adr/0024). */
export const consumerSpecs = (
  config: Pick<Config, 'KSI_QUEUES' | 'KSI_LEASE_S' | 'KSI_NATS_AGENTS'>,
): readonly ConsumerSpec[] => {
  const queues = itemsOf(config.KSI_QUEUES);
  return [
    ...prioritySpecs(queues)
      // The lease: if a worker does not renew it in this time, the run is redelivered to another.
      .map(({ queue, runPriority, name }) =>
        workConsumer(name, SUBJECT.priorityRuns(queue, runPriority), config.KSI_LEASE_S),
      )
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
