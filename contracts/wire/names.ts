/**
 * All names of subjects, streams, consumers, buckets and headers. No other code contains one as a literal.
 * docs/design/terms-and-wire.md describes them.
 */

/** The format version of commands and events: what this build writes, and the newest that it understands. */
export const FORMAT_VERSION = 1;

export const STREAM = {
  commands: 'KSI_COMMANDS',
  schedules: 'KSI_SCHEDULES',
  events: 'KSI_EVENTS',
  messages: 'KSI_MESSAGES',
  /** Outcomes of tasks, in a separate stream so that readers of events cannot reach KSI's consumer of them. */
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
  /** Usage of exchanges, for their limits. */
  exchanges: 'ksi_exchanges',
  /** Owners' retention settings, and which API applies them. */
  retention: 'ksi_retention',
  /** Writers of workspaces, and tasks that wait to write. */
  workspaces: 'ksi_workspaces',
  /** Inbox cursors of agents. */
  inboxes: 'ksi_inboxes',
  /** External agents whose clients read their inboxes. */
  agentPresence: 'ksi_agents_present',
  conversations: 'ksi_conversations',
  /** Transcripts of conversations. */
  conversationLines: 'ksi_conversation_lines',
  /** Bodies of events. Readers of events may read them. */
  blobs: 'ksi_blobs',
  /** Bodies of commands, dead letters and transcripts. Only KSI may read them. */
  privateBlobs: 'ksi_private_blobs',
} as const;

/** The priorities that clients may request, most urgent first. */
export const PRIORITIES = ['high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The priorities of runs, each with a consumer. `next` is for promoted and woken runs and for tasks that agents spawn. */
export const RUN_PRIORITIES = [...PRIORITIES, 'next'] as const;
export type RunPriority = (typeof RUN_PRIORITIES)[number];
/** The addressee token of messages without an addressee. */
export const NOBODY = '_';
/** The priority token of parked runs, which no consumer serves. */
export const PARKED = 'parked';

/** The queue of tasks that do not name one. */
export const DEFAULT_QUEUE = 'default';

/** Events are published here; the broker stores and republishes them below `ksi.events.`. */
const INGEST = 'ksi.ingest.events';
const EVENTS = 'ksi.events';

export const SUBJECT = {
  /** All subjects of KSI_COMMANDS. */
  commandsAll: 'ksi.commands.>',
  /** A session's run. It is the queue entry, the session's lock and the attempt's lease. */
  run: (queue: string, runPriority: RunPriority, sessionId: string) =>
    `ksi.commands.spawn.${queue}.${runPriority}.${sessionId}`,
  /** The waiting entry of a task. */
  waiting: (queue: string, taskId: string, sessionId: string) => `ksi.commands.wait.${queue}.${taskId}.${sessionId}`,
  /** The compare-and-set filter of a session's queue entries. All writes must use it byte for byte. */
  session: (sessionId: string) => `ksi.commands.*.*.*.${sessionId}`,
  sessionRuns: (sessionId: string) => `ksi.commands.spawn.*.*.${sessionId}`,
  sessionWaiting: (sessionId: string) => `ksi.commands.wait.*.*.${sessionId}`,
  allWaiting: 'ksi.commands.wait.>',
  queueWaiting: (queue: string) => `ksi.commands.wait.${queue}.>`,
  /** The parked run of a session. */
  parked: (queue: string, sessionId: string) => `ksi.commands.spawn.${queue}.${PARKED}.${sessionId}`,
  sessionParked: (sessionId: string) => `ksi.commands.spawn.*.${PARKED}.${sessionId}`,
  allParked: `ksi.commands.spawn.*.${PARKED}.*`,
  queueParked: (queue: string) => `ksi.commands.spawn.${queue}.${PARKED}.*`,
  priorityRuns: (queue: string, runPriority: RunPriority) => `ksi.commands.spawn.${queue}.${runPriority}.*`,

  /** A schedule. When it is due, the broker publishes it on `due` with the same id. */
  schedule: (scheduleId: string) => `ksi.schedules.${scheduleId}`,
  schedulesAll: 'ksi.schedules.*',
  due: (scheduleId: string) => `ksi.due.${scheduleId}`,
  dueAll: 'ksi.due.*',

  /** The subjects that KSI_EVENTS receives. */
  ingestAll: `${INGEST}.>`,
  /** The subjects that KSI_EVENTS stores and republishes. */
  eventsAll: `${EVENTS}.>`,
  /** The stored subject of an ingest subject. `ingest` is the inverse. */
  stored: (ingestSubject: string) => `${EVENTS}${ingestSubject.slice(INGEST.length)}`,
  ingest: (eventSubject: string) => `${INGEST}${eventSubject.slice(EVENTS.length)}`,
  taskState: (taskId: string, token: string) => `${EVENTS}.task.${taskId}.state.${token}`,
  /** The compare-and-set filter of a task's state events and of everything that an attempt publishes. */
  taskStates: (taskId: string) => `${EVENTS}.task.${taskId}.state.*`,
  taskOutput: (taskId: string) => `${EVENTS}.task.${taskId}.output`,
  taskApproval: (taskId: string) => `${EVENTS}.task.${taskId}.approval`,
  taskInput: (taskId: string) => `${EVENTS}.task.${taskId}.input`,
  taskAll: (taskId: string) => `${EVENTS}.task.${taskId}.>`,
  taskDeleted: (taskId: string) => `${EVENTS}.task.${taskId}.deleted`,
  sessionDeleted: (sessionId: string) => `${EVENTS}.session.${sessionId}.deleted`,
  /** AGENT_REGISTERED, AGENT_STATUS …; subjects of messages have one more token (ADR 17). */
  agentEvent: (agentId: string, event: string) => `${EVENTS}.agent.${agentId}.${event}`,
  /** @param to the addressee, or NOBODY. */
  agentMessage: (to: string, type: string) => `${EVENTS}.agent.${to}.message.${type}`,
  agentCopy: (subscriber: string, type: string) => `${EVENTS}.agent.${subscriber}.copy.${type}`,
  /** Messages and copies for an agent's inbox. */
  agentMail: (agentId: string) => `${EVENTS}.agent.${agentId}.*.*`,
  agentAll: (agentId: string) => `${EVENTS}.agent.${agentId}.>`,
  conversationEvent: (conversationId: string, event: string) => `${EVENTS}.conversation.${conversationId}.${event}`,
  /** The compare-and-set filter of a conversation's events. */
  conversationEvents: (conversationId: string) => `${EVENTS}.conversation.${conversationId}.*`,
  workerEvent: (workerId: string, event: string) => `${EVENTS}.worker.${workerId}.${event}`,

  /** Deltas: core NATS only, never stored. */
  live: (taskId: string) => `ksi.live.task.${taskId}`,
  liveAll: 'ksi.live.>',

  /** Requests to the worker process that runs a task. Only that process may subscribe. */
  control: (process: string, taskId: string, verb: string) => `ksi.control.${process}.task.${taskId}.${verb}`,

  /** Requests to a worker process to delete the folders of deleted sessions. */
  deletedSessions: (process: string) => `ksi.control.${process}.deleted-sessions`,

  /** Requests to a worker process for the sizes of sessions' working folders. */
  workspaceSizes: (process: string) => `ksi.control.${process}.sizes`,

  /** Requests to a worker process for the files of a session's working folder. */
  workspaceFiles: (process: string) => `ksi.control.${process}.files`,

  /** Agent tool calls of a task. Only the worker process that runs the task may publish. */
  agentTools: (process: string, taskId: string) => `ksi.agent-tools.${process}.${taskId}`,
  agentToolsAll: 'ksi.agent-tools.*.*',

  /** The dead letter of a task that was given up. */
  dead: (queue: string, taskId: string) => `ksi.dead.${queue}.${taskId}`,
  deadAll: 'ksi.dead.>',
  /** The command of an ended task, for manual retries. */
  ended: (taskId: string) => `ksi.ended.${taskId}`,
  endedAll: 'ksi.ended.*',

  /** The record of an idempotency key, by its hash. */
  idempotency: (hash: string) => `$KV.${BUCKET.idempotency}.${hash}`,

  /** The record of an imported session, with its owner. */
  sessionRecord: (sessionId: string) => `$KV.${BUCKET.sessions}.${sessionId}`,
  /** The session of an owner's name. @param token the name as a token (`keyToken`). */
  sessionName: (owner: string, token: string) => `$KV.${BUCKET.sessions}.name.${owner}.${token}`,

  /** The record of an access token, by id, and of a ticket, by hash. */
  token: (id: string) => `$KV.${BUCKET.tokens}.${id}`,
  ticket: (hash: string) => `$KV.${BUCKET.tickets}.${hash}`,

  /** Records of identities, approval rules, profiles and shared state. `token` is a key as a token (`keyToken`). */
  identity: (owner: string, agentId: string) => `$KV.${BUCKET.identities}.${owner}.${agentId}`,
  approvalRule: (owner: string, ruleId: string) => `$KV.${BUCKET.approvalRules}.${owner}.${ruleId}`,
  profile: (owner: string, name: string) => `$KV.${BUCKET.profiles}.${owner}.${name}`,
  shared: (owner: string, token: string) => `$KV.${BUCKET.shared}.${owner}.${token}`,
  /** The usage of an exchange. With `*` as the owner it finds the owner. */
  exchange: (owner: string, exchangeId: string) => `$KV.${BUCKET.exchanges}.${owner}.${exchangeId}`,
  /** The writers and waiting tasks of a workspace root. */
  places: (root: string) => `$KV.${BUCKET.workspaces}.${root}`,
  /** An owner's retention settings, and the lease of the API that applies them. */
  retention: (owner: string) => `$KV.${BUCKET.retention}.owner.${owner}`,
  retentionLease: `$KV.${BUCKET.retention}.lease`,
  /** Changes of shared state. */
  sharedEvent: (owner: string, token: string) => `${EVENTS}.shared.${owner}.${token}`,

  /** A worker's presence entry, below its process's name. Only that process may write it. */
  worker: (process: string, workerId: string) => `$KV.${BUCKET.workers}.${process}.${workerId}`,
  workersAll: `$KV.${BUCKET.workers}.>`,

  /** An agent's record, inbox cursor and presence entry. */
  agent: (agentId: string) => `$KV.${BUCKET.agents}.${agentId}`,
  inboxCursor: (agentId: string) => `$KV.${BUCKET.inboxes}.${agentId}`,
  agentPresence: (agentId: string) => `$KV.${BUCKET.agentPresence}.${agentId}`,
  /** A conversation's state and the lines of its transcript. */
  conversation: (conversationId: string) => `$KV.${BUCKET.conversations}.${conversationId}`,
  conversationLine: (conversationId: string, lineId: string) =>
    `$KV.${BUCKET.conversationLines}.${conversationId}.${lineId}`,
  conversationLines: (conversationId: string) => `$KV.${BUCKET.conversationLines}.${conversationId}.*`,
  /** All entries of a bucket. */
  kvAll: (bucket: string) => `$KV.${bucket}.>`,
  /** Where the broker republishes the entries of a watched bucket. */
  kvStored: (bucket: string) => `ksi.kv.${bucket}.>`,

  /** An outcome in KSI_OUTCOMES. */
  outcome: (taskId: string, token: string) => `ksi.outcomes.${taskId}.${token}`,
  outcomesAll: 'ksi.outcomes.*.*',

  messagesAll: 'ksi.messages.>',
  messageStored: (type: string, to: string) => `ksi.messages.${type}.${to}`,
  /** All messages for an agent, of every type. */
  inbox: (agentId: string) => `ksi.messages.*.${agentId}`,
  /** The broker's notification that a message for an agent was stored: headers only. */
  mailStored: (agentId: string) => `ksi.mail.*.${agentId}`,
  mailStoredAll: 'ksi.mail.>',

  /** Requests of NATS agents. The broker guarantees the agent's id. */
  natsAgents: 'ksi.agents.*.*',

  transcript: (sessionId: string) => `ksi.transcripts.${sessionId}`,
  transcriptSub: (sessionId: string, subkey: string) => `ksi.transcripts.${sessionId}.${subkey}`,
  /** The working folder of a session. Subkeys are base64url, so they never contain `$`. */
  sessionWorkspace: (sessionId: string) => `ksi.transcripts.${sessionId}.$workspace`,

  audit: (owner: string, verb: string) => `ksi.audit.${owner}.${verb}`,
  auditAll: 'ksi.audit.>',

  /** Spawn rates that APIs exchange: core NATS only. It is not below `ksi.api.`, where readers may publish. */
  apiRates: 'ksi.api-rates',

  apiVerb: (verb: string) => `ksi.api.${verb}`,

  /** The broker's advisories that a stream or consumer was deleted. */
  streamGone: '$JS.EVENT.ADVISORY.STREAM.DELETED.*',
  consumerGone: '$JS.EVENT.ADVISORY.CONSUMER.DELETED.*.*',
} as const;

export const CONSUMER = {
  /** Delivers the runs of a queue with a priority. */
  run: (queue: string, runPriority: RunPriority) => `run-${queue}-${runPriority}`,
  /** Counts the waiting entries of a queue. Nobody pulls from it. */
  waiting: (queue: string) => `wait-${queue}`,
  /** Counts the parked runs of a queue. Nobody pulls from it. */
  parked: (queue: string) => `parked-${queue}`,
  /** Delivers due messages to the APIs. */
  due: 'due',
  /** Deliver messages for managed agents, and outcomes of tasks that need an answer, to the APIs. */
  router: 'router',
  answers: 'answers',
  /** Delivers agents' answers in conversations to the APIs. */
  conversations: 'conversations',
  /** The inbox of a NATS agent. */
  nativeInbox: (agentId: string) => `inbox-${agentId}`,
} as const;

export const SCHEDULE = {
  /** The id of the schedule that wakes a parked run. */
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
  /** When a schedule is due (`@at …`), and the subject on which it is then published. */
  schedule: 'Nats-Schedule',
  scheduleTarget: 'Nats-Schedule-Target',
  /** On republished messages: the stream sequence. */
  seq: 'Nats-Sequence',
  /** On sourced messages: the source stream, the sequence there, and more. */
  source: 'Nats-Stream-Source',
  ttl: 'Nats-TTL',
  /** On deletion markers of KV buckets. */
  kvOperation: 'KV-Operation',
  /** On deletion markers of the broker: the reason. */
  kvMarker: 'Nats-Marker-Reason',
  traceparent: 'traceparent',
  /** The type of a command or event. */
  type: 'Ksi-Type',
  /** On a command: the task id, so that the body, which may be a blob, need not be read. */
  taskId: 'Ksi-Task-Id',
  /** On a command: how many tasks led to it, each by a tool call. Absent: none. */
  depth: 'Ksi-Depth',
  /** On a parked run: the root of the workspace for which it waits. */
  workspaceRoot: 'Ksi-Workspace-Root',
  /** On a transcript entry: the owner of the task that wrote it. The first entry has the session's owner. */
  owner: 'Ksi-Owner',
} as const;

/** A header of POST /spawn and of requests to `ksi.api.spawn`. */
/**
 * Over HTTP and NATS: names a request in its answer, in logs and in the audit. The client's own id is used if it matches the pattern.
 */
export const REQUEST_ID_HEADER = 'X-Request-Id';
export const REQUEST_ID_PATTERN = '^[A-Za-z0-9._:/+=@-]{1,128}$';

export const IDEMPOTENCY_HEADER = 'Idempotency-Key';
/** On an answer for a task that an earlier request with the same key created. */
export const REPLAYED_HEADER = 'Idempotent-Replayed';

/** The namespace of UUIDv5 ids derived from session ids. It must never change. */
export const SESSION_NAMESPACE = '6f1c1f6e-0d0e-5c1a-9a3e-6b5c2f7d4a10';

/**
 * Names that clients choose, such as session names. They may contain `.`, so they are not safe as subject tokens. `.` and `..` are refused,
 * because clients that normalize paths could not address them.
 */
export const NAME_PATTERN = '^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,128}$';
export const QUEUE_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
/** Owners stand in subjects and in the names of sessions. */
export const OWNER_PATTERN = '^[A-Za-z0-9_-]{1,64}$';
export const UUID_PATTERN = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';
