import type { Health } from '../../contracts/api/health.js';
import type { SpawnRequest, SpawnAccepted } from '../../contracts/tasks/spawn.js';
import type { UsagePage, UsageQuery } from '../../contracts/access/usage.js';
import type { EventMessage } from './event-message.js';
import { Agents } from './resources/agents.js';
import { listing, type Listing } from './listing.js';
import { Approvals } from './resources/approvals.js';
import { Conversations } from './resources/conversations.js';
import { Compositions } from './resources/compositions.js';
import { DeadLetters } from './resources/dead.js';
import { Identities } from './resources/identities.js';
import { Messages } from './resources/messages.js';
import { Owners } from './resources/owners.js';
import { Profiles } from './resources/profiles.js';
import { Queues } from './resources/queues.js';
import { Retention } from './resources/retention.js';
import { Sessions } from './resources/sessions.js';
import { Shared } from './resources/shared.js';
import { Tasks } from './resources/tasks.js';
import { Tokens } from './resources/tokens.js';
import { Workers } from './resources/workers.js';
import { SpawnedTask } from './task-handle.js';
import type { CallOptions, EventsOptions, KeyedOptions, Transport } from './transport.js';

/**
 * The operations of KSI, grouped by resource, over HTTP or NATS. All methods throw KsiError if KSI answers with an error, KsiUnreachableError if
 * KSI does not answer, and the reason of `signal` if it aborts.
 */
export class KsiApi implements AsyncDisposable {
  readonly tasks: Tasks;
  readonly approvals: Approvals;
  readonly agents: Agents;
  readonly messages: Messages;
  readonly sessions: Sessions;
  readonly conversations: Conversations;
  readonly dead: DeadLetters;
  readonly tokens: Tokens;
  readonly owners: Owners;
  readonly workers: Workers;
  readonly queues: Queues;
  readonly retention: Retention;
  readonly shared: Shared;
  readonly identities: Identities;
  readonly profiles: Profiles;
  readonly compositions: Compositions;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.tasks = new Tasks(transport);
    this.approvals = new Approvals(transport);
    this.agents = new Agents(transport);
    this.messages = new Messages(transport);
    this.sessions = new Sessions(transport);
    this.conversations = new Conversations(transport);
    this.dead = new DeadLetters(transport);
    this.tokens = new Tokens(transport);
    this.owners = new Owners(transport);
    this.workers = new Workers(transport);
    this.queues = new Queues(transport);
    this.retention = new Retention(transport);
    this.shared = new Shared(transport);
    this.identities = new Identities(transport);
    this.profiles = new Profiles(transport);
    this.compositions = new Compositions(transport);
  }

  /** The address of the API or broker. */
  get url(): string {
    return this.#transport.url;
  }

  /**
   * Creates a task. Resolves once the broker has stored it. Every spawn has an idempotency key, so a repeated request creates no second task.
   * If the answer is lost (a broken connection, 502, 503, 504) or the request is refused for now (429), it is repeated up to `retries` times
   * (default: 5), after `Retry-After`. If the connection is refused, it fails at once.
   */
  async spawn(request: SpawnRequest, options: KeyedOptions = {}): Promise<SpawnedTask> {
    // Without `wait`, every answer is a SpawnAccepted.
    const accepted = (await this.#transport.call('spawn', request, options)) as SpawnAccepted;
    return new SpawnedTask(this.#transport, accepted);
  }

  /** Sums of tokens and US dollars, by day, owner, token, session, agent or model. */
  usage(query: UsageQuery = {}, options: CallOptions = {}): Listing<UsagePage> {
    return listing(this.#transport, 'usage', query, options);
  }

  /** Yields events and deltas as they happen, until `signal` aborts. A broken connection is resumed with no missed or duplicate events; deltas can be missed. */
  events(options: EventsOptions = {}): AsyncGenerator<EventMessage> {
    return this.#transport.events(options);
  }

  /** The state of the API that answers. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#transport.call('health', {}, options);
  }

  /** Closes all connections. Open requests end with an `AbortError`; iterators of `events` end without an error. Idempotent. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
