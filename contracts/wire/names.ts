/**
 * Every subject, stream, consumer, bucket and header name of KSI: the wire's topology on one screen.
 * docs/design/terms-and-wire.md describes them. Nothing else in the code spells one out.
 */

/** The format version that this build writes, and the newest that it understands, in every command and event. */
export const FORMAT_VERSION = 1;

export const STREAM = {
  commands: 'KSI_COMMANDS',
  schedules: 'KSI_SCHEDULES',
  events: 'KSI_EVENTS',
  messages: 'KSI_MESSAGES',
  /** Outcomes of tasks, where readers of events cannot reach KSI's consumer of them. */
  outcomes: 'KSI_OUTCOMES',
  dead: 'KSI_DEAD',
  ended: 'KSI_ENDED',
  transcripts: 'KSI_TRANSCRIPTS',
  audit: 'KSI_AUDIT',
} as const;

export const BUCKET = {
  sessions: 'ksi_sessions',
  idempotency: 'ksi_idempotency',
  workers: 'ksi_workers',
  tokens: 'ksi_tokens',
  tickets: 'ksi_tickets',
  identities: 'ksi_identities',
  profiles: 'ksi_profiles',
  approvalRules: 'ksi_approval_rules',
  shared: 'ksi_shared',
  agents: 'ksi_agents',
  /** What exchanges of agents have had of their limits. */
  exchanges: 'ksi_exchanges',
  /** Owners' own ages of what is kept, and which API looks for what is old. */
  retention: 'ksi_retention',
  /** Which tasks may write in a workspace, and which wait for that. */
  workspaces: 'ksi_workspaces',
  /** Up to where each agent has taken its messages. */
  inboxes: 'ksi_inboxes',
  /** External agents whose clients read their inboxes. */
  agentPresence: 'ksi_agents_present',
  conversations: 'ksi_conversations',
  /** What was said in them. */
  conversationLines: 'ksi_conversation_lines',
  /** Bodies of events, which readers of events may read. */
  blobs: 'ksi_blobs',
  /** Bodies of commands, dead letters and transcripts: KSI's own. */
  privateBlobs: 'ksi_private_blobs',
} as const;

/** The priorities a client may ask for, the most urgent first. */
export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The lanes of a queue, each with a consumer: its priorities, and `next` for tasks promoted from waiting. */
export const LANES = [...PRIORITIES, 'next'] as const;
export type Lane = (typeof LANES)[number];
/** Stands in an addressee's place where there is none. */
export const NOBODY = '_';
/** Stands in a lane's place in the subject of a run that waits long for its next attempt: no consumer serves it. */
export const PARKED = 'parked';

/** The queue of a task that names none. */
export const DEFAULT_QUEUE = 'default';

/** Events are published here; the broker stores and republishes them below `ksi.events.`. */
const INGEST = 'ksi.ingest.events';
const EVENTS = 'ksi.events';

export const SUBJECT = {
  /** All that KSI_COMMANDS stores. */
  commandsAll: 'ksi.commands.>',
  /** The session's run: its queue entry, its lock and its attempt's lease in one. */
  run: (queue: string, lane: Lane, sessionId: string) => `ksi.commands.spawn.${queue}.${lane}.${sessionId}`,
  /** A task that waits for its session. */
  waiting: (queue: string, taskId: string, sessionId: string) => `ksi.commands.wait.${queue}.${taskId}.${sessionId}`,
  /** The one compare-and-set filter of a session's runs, waiting entries and promotions. Must stay byte-identical everywhere. */
  session: (sessionId: string) => `ksi.commands.*.*.*.${sessionId}`,
  sessionRuns: (sessionId: string) => `ksi.commands.spawn.*.*.${sessionId}`,
  sessionWaiting: (sessionId: string) => `ksi.commands.wait.*.*.${sessionId}`,
  allWaiting: 'ksi.commands.wait.>',
  queueWaiting: (queue: string) => `ksi.commands.wait.${queue}.>`,
  /** A run that waits long for its next attempt, in its session's place. */
  parked: (queue: string, sessionId: string) => `ksi.commands.spawn.${queue}.${PARKED}.${sessionId}`,
  sessionParked: (sessionId: string) => `ksi.commands.spawn.*.${PARKED}.${sessionId}`,
  allParked: `ksi.commands.spawn.*.${PARKED}.*`,
  queueParked: (queue: string) => `ksi.commands.spawn.${queue}.${PARKED}.*`,
  laneRuns: (queue: string, lane: Lane) => `ksi.commands.spawn.${queue}.${lane}.*`,

  /** A message of the future: the broker publishes it to `due` of the same id when its time has come. */
  schedule: (scheduleId: string) => `ksi.schedules.${scheduleId}`,
  schedulesAll: 'ksi.schedules.*',
  due: (scheduleId: string) => `ksi.due.${scheduleId}`,
  dueAll: 'ksi.due.*',

  /** What KSI_EVENTS listens to. */
  ingestAll: `${INGEST}.>`,
  /** What it stores and republishes. */
  eventsAll: `${EVENTS}.>`,
  /** From the stored subject to the one to publish on. */
  stored: (ingestSubject: string) => `${EVENTS}${ingestSubject.slice(INGEST.length)}`,
  ingest: (eventSubject: string) => `${INGEST}${eventSubject.slice(EVENTS.length)}`,
  taskState: (taskId: string, token: string) => `${EVENTS}.task.${taskId}.state.${token}`,
  /** The one compare-and-set filter of a task's state events and of everything an attempt publishes. */
  taskStates: (taskId: string) => `${EVENTS}.task.${taskId}.state.*`,
  taskOutput: (taskId: string) => `${EVENTS}.task.${taskId}.output`,
  taskApproval: (taskId: string) => `${EVENTS}.task.${taskId}.approval`,
  taskInput: (taskId: string) => `${EVENTS}.task.${taskId}.input`,
  taskAll: (taskId: string) => `${EVENTS}.task.${taskId}.>`,
  taskDeleted: (taskId: string) => `${EVENTS}.task.${taskId}.deleted`,
  sessionDeleted: (sessionId: string) => `${EVENTS}.session.${sessionId}.deleted`,
  /** AGENT_REGISTERED, AGENT_STATUS …; messages have a token more (ADR 17). */
  agentEvent: (agentId: string, event: string) => `${EVENTS}.agent.${agentId}.${event}`,
  /** @param to the addressee; NOBODY: none. */
  agentMessage: (to: string, type: string) => `${EVENTS}.agent.${to}.message.${type}`,
  agentCopy: (subscriber: string, type: string) => `${EVENTS}.agent.${subscriber}.copy.${type}`,
  /** All that reaches an agent's inbox, and nothing else. */
  agentMail: (agentId: string) => `${EVENTS}.agent.${agentId}.*.*`,
  agentAll: (agentId: string) => `${EVENTS}.agent.${agentId}.>`,
  conversationEvent: (conversationId: string, event: string) => `${EVENTS}.conversation.${conversationId}.${event}`,
  /** The one compare-and-set filter of a conversation's events. */
  conversationEvents: (conversationId: string) => `${EVENTS}.conversation.${conversationId}.*`,
  workerEvent: (workerId: string, event: string) => `${EVENTS}.worker.${workerId}.${event}`,

  /** Partial text as it is written: core NATS only, never stored. */
  live: (taskId: string) => `ksi.live.task.${taskId}`,
  liveAll: 'ksi.live.>',

  /** Request/reply to the worker process that runs the task, which alone may listen there. */
  control: (process: string, taskId: string, verb: string) => `ksi.control.${process}.task.${taskId}.${verb}`,

  /** Request/reply to a worker process: that it removes the folders of deleted sessions, and what is left of them. */
  forgetSessions: (process: string) => `ksi.control.${process}.forget`,

  /** What the agent of a task asks for by itself, from the worker process that runs it, which alone may publish there. */
  hands: (process: string, taskId: string) => `ksi.hands.${process}.${taskId}`,
  handsAll: 'ksi.hands.*.*',

  /** The dead letter of a task that was given up. */
  dead: (queue: string, taskId: string) => `ksi.dead.${queue}.${taskId}`,
  deadAll: 'ksi.dead.>',
  /** The command of a task that has an outcome, so that it can be run again. */
  ended: (taskId: string) => `ksi.ended.${taskId}`,
  endedAll: 'ksi.ended.*',

  /** The record of an idempotency key, by its hash: an entry of the KV bucket. */
  idempotency: (hash: string) => `$KV.${BUCKET.idempotency}.${hash}`,

  /** Whose an imported session is: an entry of the KV bucket. */
  sessionRecord: (sessionId: string) => `$KV.${BUCKET.sessions}.${sessionId}`,
  /** The session that an owner's name stands for. @param token of the name (`keyToken`). */
  sessionName: (owner: string, token: string) => `$KV.${BUCKET.sessions}.name.${owner}.${token}`,

  /** A token's record, and a ticket's, by its hash: entries of KV buckets. */
  token: (id: string) => `$KV.${BUCKET.tokens}.${id}`,
  ticket: (hash: string) => `$KV.${BUCKET.tickets}.${hash}`,

  /** Who an agent is to people, an owner's profile, and an owner's shared state (both by `keyToken`): entries of KV buckets. */
  identity: (owner: string, agentId: string) => `$KV.${BUCKET.identities}.${owner}.${agentId}`,
  approvalRule: (owner: string, ruleId: string) => `$KV.${BUCKET.approvalRules}.${owner}.${ruleId}`,
  profile: (owner: string, name: string) => `$KV.${BUCKET.profiles}.${owner}.${name}`,
  shared: (owner: string, token: string) => `$KV.${BUCKET.shared}.${owner}.${token}`,
  /** What an exchange of an owner's agents has had: an entry of a KV bucket. `*` for the owner: whose it is. */
  exchange: (owner: string, exchangeId: string) => `$KV.${BUCKET.exchanges}.${owner}.${exchangeId}`,
  /** Who writes in the workspaces of a root, and who waits: an entry of a KV bucket. */
  places: (root: string) => `$KV.${BUCKET.workspaces}.${root}`,
  /** Entries of a KV bucket: an owner's own ages, and which API looks for what is old. */
  retention: (owner: string) => `$KV.${BUCKET.retention}.owner.${owner}`,
  retentionLease: `$KV.${BUCKET.retention}.lease`,
  /** Changes of shared state. */
  sharedEvent: (owner: string, token: string) => `${EVENTS}.shared.${owner}.${token}`,

  /** A worker's presence: an entry of the KV bucket, below the name of its process, which alone may write there. */
  worker: (process: string, workerId: string) => `$KV.${BUCKET.workers}.${process}.${workerId}`,
  workersAll: `$KV.${BUCKET.workers}.>`,

  /** An agent's record, its inbox's position and its presence: entries of KV buckets. */
  agent: (agentId: string) => `$KV.${BUCKET.agents}.${agentId}`,
  inboxPosition: (agentId: string) => `$KV.${BUCKET.inboxes}.${agentId}`,
  agentPresence: (agentId: string) => `$KV.${BUCKET.agentPresence}.${agentId}`,
  /** A conversation's state, and what was said in it: entries of KV buckets. */
  conversation: (conversationId: string) => `$KV.${BUCKET.conversations}.${conversationId}`,
  conversationLine: (conversationId: string, lineId: string) =>
    `$KV.${BUCKET.conversationLines}.${conversationId}.${lineId}`,
  conversationLines: (conversationId: string) => `$KV.${BUCKET.conversationLines}.${conversationId}.*`,
  /** All entries of a bucket. */
  kvAll: (bucket: string) => `$KV.${bucket}.>`,
  /** Where the broker republishes what a watched bucket stored. */
  kvStored: (bucket: string) => `ksi.kv.${bucket}.>`,

  /** An outcome as KSI_OUTCOMES stores it. */
  outcome: (taskId: string, token: string) => `ksi.outcomes.${taskId}.${token}`,
  outcomesAll: 'ksi.outcomes.*.*',

  messagesAll: 'ksi.messages.>',
  messageStored: (type: string, to: string) => `ksi.messages.${type}.${to}`,
  /** All that is for an agent, of every type. */
  inbox: (agentId: string) => `ksi.messages.*.${agentId}`,
  /** Where the broker says that something for an agent was stored: headers only. */
  mailStored: (agentId: string) => `ksi.mail.*.${agentId}`,
  mailStoredAll: 'ksi.mail.>',

  /** What an agent asks that connects to the broker itself, which guarantees its id. */
  nativeAgents: 'ksi.agents.*.*',

  transcript: (sessionId: string) => `ksi.transcripts.${sessionId}`,
  transcriptSub: (sessionId: string, subkey: string) => `ksi.transcripts.${sessionId}.${subkey}`,
  /** The working folder that a session is bound to; no subkey of Claude's has a `$` (they are base64url). */
  sessionWorkspace: (sessionId: string) => `ksi.transcripts.${sessionId}.$workspace`,

  audit: (owner: string, verb: string) => `ksi.audit.${owner}.${verb}`,
  auditAll: 'ksi.audit.>',

  /** What APIs tell each other of the spawns that they took: core NATS only. Not below `ksi.api.`, where readers may publish. */
  apiRates: 'ksi.api-rates',

  apiVerb: (verb: string) => `ksi.api.${verb}`,

  /** The broker's own word that a stream, or a consumer of a stream, was deleted. */
  streamGone: '$JS.EVENT.ADVISORY.STREAM.DELETED.*',
  consumerGone: '$JS.EVENT.ADVISORY.CONSUMER.DELETED.*.*',
} as const;

export const CONSUMER = {
  /** Durable pull consumer of one lane of one queue. */
  lane: (queue: string, lane: Lane) => `run-${queue}-${lane}`,
  /** Counts the waiting tasks of a queue; nobody pulls from it. */
  waiting: (queue: string) => `wait-${queue}`,
  /** Counts the parked runs of a queue; nobody pulls from it. */
  parked: (queue: string) => `parked-${queue}`,
  /** Durable pull consumer of what is due, shared by the APIs. */
  due: 'due',
  /** Durable pull consumers, shared by the APIs: of messages, for managed agents; of tasks' outcomes, for their answers. */
  router: 'router',
  answers: 'answers',
  /** Durable pull consumer of what agents answer in conversations, shared by the APIs. */
  conversations: 'conversations',
  /** The inbox of an agent that connects to the broker itself. */
  nativeInbox: (agentId: string) => `inbox-${agentId}`,
} as const;

/** Ids of schedules. */
export const SCHEDULE = {
  /** Of what brings back a parked run. */
  parked: (sessionId: string, taskId: string) => `parked_${sessionId}_${taskId}`,
} as const;

export const SERVICE = { name: 'ksi', version: '1.0.0', group: 'ksi.api' } as const;

export const HEADER = {
  msgId: 'Nats-Msg-Id',
  expectSeq: 'Nats-Expected-Last-Subject-Sequence',
  expectSubject: 'Nats-Expected-Last-Subject-Sequence-Subject',
  batchId: 'Nats-Batch-Id',
  batchSeq: 'Nats-Batch-Sequence',
  batchCommit: 'Nats-Batch-Commit',
  /** When a message is due (`@at …`), and the subject on which it is then published. */
  schedule: 'Nats-Schedule',
  scheduleTarget: 'Nats-Schedule-Target',
  /** On republished events: the stream's sequence of the stored one. */
  seq: 'Nats-Sequence',
  /** On what one stream took from another: the other's name, the sequence there … */
  source: 'Nats-Stream-Source',
  ttl: 'Nats-TTL',
  /** On an entry of a KV bucket that is none any more. */
  kvOperation: 'KV-Operation',
  /** On what a broker stores itself in an entry's place: why. */
  kvMarker: 'Nats-Marker-Reason',
  traceparent: 'traceparent',
  /** The command's or event's type. */
  type: 'Ksi-Type',
  /** On a command: its task, so that it can be told without reading the body (which may be in the object store). */
  taskId: 'Ksi-Task-Id',
  /** On a command: how many tasks led to it, each by its own hands; absent: none. */
  depth: 'Ksi-Depth',
  /** On a parked run: the root of the workspace that it waits for. */
  workspaceRoot: 'Ksi-Workspace-Root',
  /** On a session's transcript: whose task wrote it. Its first message says whose the session is. */
  owner: 'Ksi-Owner',
} as const;

/** The header of POST /spawn, and of the message to `ksi.api.spawn`. */
/**
 * Over HTTP and NATS: names a request in its answer, in logs and in the audit. The client's own id is used if it matches the pattern.
 */
export const REQUEST_ID_HEADER = 'X-Request-Id';
export const REQUEST_ID_PATTERN = '^[A-Za-z0-9._:/+=@-]{1,128}$';

export const IDEMPOTENCY_HEADER = 'Idempotency-Key';
/** On an answer that speaks of a task which an earlier request with the same key made. */
export const REPLAYED_HEADER = 'Idempotent-Replayed';

/** Namespace of UUIDv5 ids that KSI derives from a session's id. Never changes. */
export const SESSION_NAMESPACE = '6f1c1f6e-0d0e-5c1a-9a3e-6b5c2f7d4a10';

/** Names a client may give: sessions, queues' tokens. Safe as a subject's token except for `.`, which a queue may not hold. */
/** Not `.` or `..`: clients that normalise paths could not address them. */
export const NAME_PATTERN = '^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,128}$';
export const QUEUE_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** Owners stand in subjects and in the names of sessions. */
export const OWNER_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
export const UUID_PATTERN = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
