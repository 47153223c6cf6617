import { DeletionPending, TasksDeleted, TasksDeleteQuery } from '../retention/deletion.js';
import { Type, type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import { AgentSpawned, AgentSpawnRequest, TaskRouted, TaskRouteRequest } from '../agents/agent-spawn.js';
import {
  AgentChange,
  AgentPage,
  AgentParams,
  AgentRegistered,
  AgentRegistration,
  AgentShown,
  AgentsQuery,
} from '../agents/agents.js';
import { ApprovalRuleList, ApprovalRuleParams } from '../tasks/approval-rules.js';
import { ApprovalAnswer, ApprovalList, ApprovalParams, ApprovalResolved } from '../tasks/approvals.js';
import {
  Conversation,
  ConversationAccepted,
  ConversationPage,
  ConversationParams,
  ConversationRequest,
  ConversationsQuery,
  ConversationTranscriptQuery,
  SayRequest,
} from '../conversations/conversations.js';
import {
  ComponentList,
  ComponentsQuery,
  ComposedPrompt,
  ComposeRequest,
  CompositionList,
  CompositionShown,
  CompositionsQuery,
  CompositionValidation,
  PromptParams,
  SelectAnswer,
  SelectRequest,
} from '../prompts/compositions.js';
import { DeadLetter, DeadPage, DeadQuery, DeadRetryAnswer, DeadRetryRequest } from '../tasks/dead-letters.js';
import { EventBody, EventBodyParams, EventPage, TaskEventsQuery } from '../events/pages.js';
import { Output, InputRequest, Task, TaskPage, TaskParams, TasksQuery } from '../tasks/task.js';
import { Health } from './health.js';
import {
  IdentitiesQuery,
  Identity,
  IdentityPage,
  IdentityParams,
  IdentityRequest,
  IdentityUpdate,
} from '../agents/identities.js';
import {
  AddressedMessage,
  Inbox,
  InboxAck,
  InboxAcked,
  InboxQuery,
  MessageAccepted,
  MessageRequest,
} from '../agents/messages.js';
import { ExchangeParams, ExchangeShown } from '../access/exchanges.js';
import type { OperationName } from './operations.js';
import { Profile, ProfileList, ProfileShown } from '../agents/profiles.js';
import { QueueList } from '../tasks/queues.js';
import {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
  SessionParams,
} from '../sessions/sessions.js';
import {
  SharedDelete,
  SharedEntry,
  SharedListQuery,
  SharedPage,
  SharedParams,
  SharedQuery,
  SharedSet,
  SharedValue,
} from '../agents/shared.js';
import {
  RetentionPreview,
  RetentionPreviewQuery,
  RetentionAges,
  RetentionRun,
  RetentionShown,
} from '../retention/retention.js';
import { SpawnRequest, SpawnAccepted, SpawnQuery } from '../tasks/spawn.js';
import { TicketCreated, TokenCreated, TokenList, TokenParams, TokenRequest, OwnerParams } from '../access/tokens.js';
import { UsageAnswer, UsageQuery } from '../access/usage.js';
import { LimitLifted, WorkerList } from '../tasks/workers.js';

const NoFields = Type.Object({}, { additionalProperties: false });
const Nothing = Type.Void();
/** Something only while hosts of workers have something left. */
const Deleted = Type.Union([DeletionPending, Type.Undefined()]);

/** One request of what HTTP has in different places. */
const both = <A extends TProperties, B extends TProperties>(
  { properties: a }: TObject<A>,
  { properties: b }: TObject<B>,
) => Type.Object({ ...a, ...b }, { additionalProperties: false });

/** What each operation is asked, all its fields in one object, and what it answers. The routes are held against it by a test. */
export const OPERATION_SCHEMAS = {
  // Tasks
  spawn: { request: both(SpawnRequest, SpawnQuery), answer: Type.Union([SpawnAccepted, Task]) },
  tasks: { request: TasksQuery, answer: TaskPage },
  task: { request: TaskParams, answer: Task },
  task_output: { request: TaskParams, answer: Output },
  task_event_body: { request: EventBodyParams, answer: EventBody },
  task_events: { request: both(TaskParams, TaskEventsQuery), answer: EventPage },
  task_delete: { request: TaskParams, answer: Deleted },
  tasks_delete: { request: TasksDeleteQuery, answer: TasksDeleted },
  cancel: { request: TaskParams, answer: Task },
  interrupt: { request: TaskParams, answer: Task },
  input: { request: both(TaskParams, InputRequest), answer: Task },
  retry: { request: TaskParams, answer: SpawnAccepted },

  // Approvals
  approvals: { request: NoFields, answer: ApprovalList },
  approval_rules: { request: NoFields, answer: ApprovalRuleList },
  approval_rule_delete: { request: ApprovalRuleParams, answer: Nothing },
  approve: { request: both(ApprovalParams, ApprovalAnswer), answer: ApprovalResolved },

  // Sessions, and what they took
  sessions: { request: SessionsQuery, answer: SessionPage },
  session: { request: SessionParams, answer: Session },
  session_transcript: { request: both(SessionParams, TranscriptQuery), answer: Type.String() },
  session_export: { request: SessionParams, answer: SessionExport },
  session_import: { request: SessionExport, answer: ImportAnswer },
  session_delete: { request: SessionParams, answer: Deleted },
  usage: { request: UsageQuery, answer: UsageAnswer },

  // Retention
  retention: { request: NoFields, answer: RetentionShown },
  retention_set: { request: RetentionAges, answer: RetentionShown },
  retention_preview: { request: RetentionPreviewQuery, answer: RetentionPreview },
  retention_run: { request: NoFields, answer: RetentionRun },

  // Dead letters
  dead: { request: DeadQuery, answer: DeadPage },
  dead_letter: { request: TaskParams, answer: DeadLetter },
  dead_retry: { request: TaskParams, answer: SpawnAccepted },
  dead_retry_all: { request: DeadRetryRequest, answer: DeadRetryAnswer },
  dead_delete: { request: TaskParams, answer: Nothing },

  // Agents and their messages
  agents: { request: AgentsQuery, answer: AgentPage },
  agent: { request: AgentParams, answer: AgentShown },
  agent_register: { request: AgentRegistration, answer: AgentRegistered },
  agent_spawn: { request: AgentSpawnRequest, answer: AgentSpawned },
  task_route: { request: TaskRouteRequest, answer: TaskRouted },
  agent_update: { request: both(AgentParams, AgentChange), answer: AgentShown },
  agent_remove: { request: AgentParams, answer: Nothing },
  agent_send: { request: both(AgentParams, AddressedMessage), answer: MessageAccepted },
  send: { request: MessageRequest, answer: MessageAccepted },
  exchange: { request: ExchangeParams, answer: ExchangeShown },
  inbox: { request: both(AgentParams, InboxQuery), answer: Inbox },
  inbox_ack: { request: both(AgentParams, InboxAck), answer: InboxAcked },

  // Conversations of agents
  conversations: { request: ConversationsQuery, answer: ConversationPage },
  conversation: { request: ConversationParams, answer: Conversation },
  conversation_create: { request: ConversationRequest, answer: ConversationAccepted },
  conversation_transcript: { request: both(ConversationParams, ConversationTranscriptQuery), answer: Type.String() },
  conversation_pause: { request: ConversationParams, answer: Conversation },
  conversation_resume: { request: ConversationParams, answer: Conversation },
  conversation_end: { request: ConversationParams, answer: Conversation },
  conversation_say: { request: both(ConversationParams, SayRequest), answer: Conversation },
  conversation_delete: { request: ConversationParams, answer: Nothing },

  // Access
  tokens: { request: NoFields, answer: TokenList },
  token_create: { request: TokenRequest, answer: TokenCreated },
  token_revoke: { request: TokenParams, answer: Nothing },
  ticket: { request: NoFields, answer: TicketCreated },
  owner_delete: { request: OwnerParams, answer: Deleted },

  // Shared state
  shared_list: { request: SharedListQuery, answer: SharedPage },
  shared_get: { request: both(SharedParams, SharedQuery), answer: SharedValue },
  shared_set: { request: both(SharedParams, SharedSet), answer: SharedEntry },
  shared_delete: { request: both(SharedParams, SharedDelete), answer: Nothing },

  // Identities, profiles and prompts
  identities: { request: IdentitiesQuery, answer: IdentityPage },
  identity_create: { request: IdentityRequest, answer: Identity },
  identity: { request: IdentityParams, answer: Identity },
  identity_update: { request: both(IdentityParams, IdentityUpdate), answer: Identity },
  identity_remove: { request: IdentityParams, answer: Nothing },
  profiles: { request: NoFields, answer: ProfileList },
  profile: { request: PromptParams, answer: ProfileShown },
  profile_set: { request: both(PromptParams, Profile), answer: ProfileShown },
  profile_delete: { request: PromptParams, answer: Nothing },
  compositions: { request: CompositionsQuery, answer: CompositionList },
  composition: { request: PromptParams, answer: CompositionShown },
  composition_validate: { request: both(PromptParams, ComposeRequest), answer: CompositionValidation },
  composition_compose: { request: both(PromptParams, ComposeRequest), answer: ComposedPrompt },
  composition_select: { request: SelectRequest, answer: SelectAnswer },
  components: { request: ComponentsQuery, answer: ComponentList },

  // System
  workers: { request: NoFields, answer: WorkerList },
  limit_lift: { request: NoFields, answer: LimitLifted },
  queues: { request: NoFields, answer: QueueList },
  health: { request: NoFields, answer: Health },
} as const satisfies Record<OperationName, { readonly request: TObject; readonly answer: TSchema }>;

export type RequestOf<N extends OperationName> = Static<(typeof OPERATION_SCHEMAS)[N]['request']>;
export type AnswerOf<N extends OperationName> = Static<(typeof OPERATION_SCHEMAS)[N]['answer']>;
