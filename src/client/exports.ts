/** The exports that all clients share. */
export type { AgentInbox, InboxOptions } from './agent-inbox.js';
export type { KsiApi } from './api.js';
export type { ConversationEvent, ConversationEventType, ConversationHandle } from './conversation-handle.js';
export { KsiError, KsiGapError, KsiTaskError, KsiUnreachableError } from './errors.js';
export { isDelta, isEvent, isGap, type EventMessage, type LiveDelta } from './event-message.js';
export type { KsiClientOptions } from './http.js';
export type { Listing } from './listing.js';
export type { Agents } from './resources/agents.js';
export type { Approvals } from './resources/approvals.js';
export type { Compositions } from './resources/compositions.js';
export type { Conversations } from './resources/conversations.js';
export type { DeadLetters } from './resources/dead.js';
export type { Identities } from './resources/identities.js';
export type { Messages } from './resources/messages.js';
export type { Owners } from './resources/owners.js';
export type { Profiles } from './resources/profiles.js';
export type { Queues } from './resources/queues.js';
export type { Retention } from './resources/retention.js';
export type { Sessions } from './resources/sessions.js';
export type { ExpectingOptions, Shared, SharedChange, WatchOptions } from './resources/shared.js';
export type { Tasks } from './resources/tasks.js';
export type { Tokens } from './resources/tokens.js';
export type { Workers } from './resources/workers.js';
export type { SpawnedTask, TaskHandle } from './task-handle.js';
export type { CallOptions, EventsOptions, FollowOptions, KeyedOptions, Transport } from './transport.js';
// The types of requests and answers.
export type { Approval, ApprovalAnswer, ApprovalPage, ApprovalResolved } from '../../contracts/tasks/approvals.js';
export type { Attachment } from '../../contracts/tasks/attachment.js';
export type { PromptContext } from '../../contracts/prompts/compositions.js';
export type {
  DeadLetter,
  DeadPage,
  DeadQuery,
  DeadRetryAnswer,
  DeadRetryRequest,
  DeadSummary,
} from '../../contracts/tasks/dead-letters.js';
export type { EventData, EventEnvelope, EventType, SpawnDelta } from '../../contracts/events/events.js';
export type { EventPage } from '../../contracts/events/pages.js';
export type { Page, PageQuery } from '../../contracts/wire/page.js';
export type { Health } from '../../contracts/api/health.js';
export type { Problem } from '../../contracts/wire/problem.js';
export type { Task, TaskPage, TasksQuery } from '../../contracts/tasks/task.js';
export type { TasksDeleted, TasksDeleteQuery } from '../../contracts/retention/deletion.js';
export type { InboxAcked, InboxMessage, MessageAccepted, MessageRequest } from '../../contracts/agents/messages.js';
export type { Metadata } from '../../contracts/wire/metadata.js';
export type { AnswerOf, OperationName, RequestOf } from '../../contracts/api/operations.js';
export { PRIORITIES, type Priority } from '../../contracts/wire/names.js';
export type { QueuePage, QueueView } from '../../contracts/tasks/queues.js';
export type { WorkspaceView } from '../../contracts/tasks/workspace.js';
export type {
  ArchiveQuery,
  DiffQuery,
  FileEntry,
  FilePage,
  FileQuery,
  FilesQuery,
} from '../../contracts/sessions/files.js';
export type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
} from '../../contracts/sessions/sessions.js';
export type { SpawnRequest, SpawnAccepted } from '../../contracts/tasks/spawn.js';
export type { TaskErrorBody } from '../../contracts/tasks/error-body.js';
export { TASK_STATUSES, type TaskStatus } from '../../contracts/tasks/states.js';
export type { GapFrame } from '../../contracts/api/ws.js';
export type { Scope, TokenCreated, TokenPage, TokenRequest, TokenView } from '../../contracts/access/tokens.js';
export type { ExchangeLimits, ExchangeView } from '../../contracts/access/exchanges.js';
export type { Usage, UsagePage, UsageQuery, UsageRow } from '../../contracts/access/usage.js';
export type { LimitLifted, WorkerPage, WorkerView } from '../../contracts/tasks/workers.js';
