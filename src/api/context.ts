import type { Logger } from 'pino';
import type { Config } from '../../contracts/config.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { ReplayLimit } from '../events/feed.js';
import type { EventHub } from '../events/hub.js';
import type { Tail } from '../events/tail.js';
import type { Acceptor } from './accept/accept.js';
import type { OnceAcceptor } from './accept/once.js';
import type { QueueGauge } from './accept/queue-gauge.js';
import type { Agents } from './agents/agents.js';
import type { Conversations } from './conversations/conversations.js';
import type { Spawner } from './agents/spawner.js';
import type { ApprovalDesk } from './approvals/approvals.js';
import type { Audit } from './audit.js';
import type { Authenticator } from './auth.js';
import type { Exchanges } from './exchanges.js';
import type { Identities } from './identities.js';
import type { Metrics } from './metrics.js';
import type { DeadLetters } from './dead-letters.js';
import type { Deleter } from './deletion/deleter.js';
import type { Profiles } from './profiles.js';
import type { Prompts } from './prompts.js';
import type { Sessions } from './sessions/sessions.js';
import type { Canceller } from './steer/cancel.js';
import type { Retrier } from './steer/retry.js';
import type { Inputs } from './steer/input.js';
import type { Interrupter } from './steer/interrupt.js';
import type { Tls } from './edge/tls.js';
import type { SharedState } from './shared/shared-state.js';
import type { SpawnRate } from './spawn-rate.js';
import type { Tickets } from './tokens/tickets.js';
import type { TokenRegistry } from './tokens/registry.js';
import type { TaskReader } from './task-reader.js';

/** What the routes of an API share; made once, by start.ts. */
export interface ApiContext {
  readonly config: Config;
  readonly log: Logger;
  readonly version: string;
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly hub: EventHub;
  readonly tail: Tail;
  readonly limit: ReplayLimit;
  readonly acceptor: Acceptor;
  /** For requests with an idempotency key. */
  readonly once: OnceAcceptor;
  readonly tasks: TaskReader;
  readonly exchanges: Exchanges;
  readonly canceller: Canceller;
  readonly interrupter: Interrupter;
  readonly inputs: Inputs;
  readonly approvals: ApprovalDesk;
  readonly agents: Agents;
  readonly conversations: Conversations;
  readonly sessions: Sessions;
  readonly retrier: Retrier;
  readonly dead: DeadLetters;
  readonly deleter: Deleter;
  readonly spawner: Spawner;
  readonly shared: SharedState;
  readonly identities: Identities;
  readonly profiles: Profiles;
  readonly prompts: Prompts;
  readonly gauge: QueueGauge;
  readonly authenticator: Authenticator;
  readonly tokens: TokenRegistry;
  readonly tickets: Tickets;
  readonly tls: Tls | undefined;
  readonly spawnRate: SpawnRate;
  readonly audit: Audit;
  readonly metrics: Metrics;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
  /** Whether everything of the API runs. It listens before. */
  readonly started: () => boolean;
}
