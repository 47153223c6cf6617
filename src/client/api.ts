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
 * All that a client can do, over whichever transport. Methods throw KsiError for an error that KSI answers, KsiUnreachableError
 * for no answer, and the reason of a `signal` that aborts.
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

  /** Where it goes. */
  get url(): string {
    return this.#transport.url;
  }

  /**
   * Has a task stored. Resolves once the broker has it. Every spawn has an idempotency key, so it makes one task however often it is sent:
   * when its answer is lost (a broken connection, 502, 503, 504) it is repeated, five times at the most, as `Retry-After` says. An address
   * where nobody listens is told at once.
   */
  async spawn(request: SpawnRequest, options: KeyedOptions = {}): Promise<SpawnedTask> {
    // Without `wait` in the request the answer is none but this.
    const accepted = (await this.#transport.call('spawn', request, options)) as SpawnAccepted;
    return new SpawnedTask(this.#transport, accepted);
  }

  /** Tokens and US dollars, summed up. */
  usage(query: UsageQuery = {}, options: CallOptions = {}): Listing<UsagePage> {
    return listing(this.#transport, 'usage', query, options);
  }

  /** Events, and partial text, as they happen, until `signal` aborts; a broken connection is resumed with no gap and no repeat. */
  events(options: EventsOptions = {}): AsyncGenerator<EventMessage> {
    return this.#transport.events(options);
  }

  /** How the API is that answers. */
  health(options: CallOptions = {}): Promise<Health> {
    return this.#transport.call('health', {}, options);
  }

  /** Ends all that is open: connections, and iterators of events. Idempotent. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
