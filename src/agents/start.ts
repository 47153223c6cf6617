import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import type { Access } from '../access/start.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { listOf } from '../config/load.js';
import { serviceOf } from '../process/lifecycle.js';
import { PromptLibrary } from '../prompts/library.js';
import { Prompts } from '../prompts/service.js';
import type { Store } from '../store/start.js';
import type { Tasks } from '../tasks/start.js';
import type { Metrics } from '../telemetry/metrics.js';
import { Agents } from './agents.js';
import { MessageExpiry } from './expiry.js';
import { Identities } from './identities.js';
import { ManagedAgents, type ManagedAgentsOptions } from './managed-agents.js';
import { Profiles } from './profiles.js';
import { SharedEvents } from './shared/shared-events.js';
import { SharedState } from './shared/shared-state.js';
import { AgentSpawner } from './agent-spawner.js';

export interface AgentsServiceOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly store: Store;
  readonly access: Access;
  readonly tasks: Tasks;
  readonly metrics: Metrics;
  readonly config: Config;
  readonly log: Logger;
  /** Aborts when the API begins to shut down. */
  readonly closing: AbortSignal;
}

export type AgentsService = Awaited<ReturnType<typeof startAgents>>;

/** Agents, their messages, and what they share. @throws {BrokerError} */
export const startAgents = (options: AgentsServiceOptions) =>
  serviceOf(options.log, async (lifecycle) => {
    const { broker, blobs, store, access, tasks, metrics, config, log, closing } = options;
    const library = new PromptLibrary({ own: config.KSI_PROMPTS, ownProfiles: config.KSI_PROFILES, log });
    const prompts = new Prompts(library, config.KSI_MAX_PROMPT_CHARS);
    const shared = new SharedState(broker, blobs, lifecycle.add(new SharedEvents(broker, blobs, log)), log);
    const profiles = new Profiles(broker, library, log);
    const agents = lifecycle.add(
      new Agents({
        broker,
        blobs,
        hub: store.hub,
        exchanges: access.exchanges,
        approvalRules: tasks.approvalRules,
        admit: (options, principal) => tasks.acceptor.admit(options, principal),
        profile: (name, principal) => profiles.get(name, principal),
        nativeIds: listOf(config.KSI_NATS_AGENTS),
        log,
        closing,
      }),
    );
    await agents.start();
    const { registry, positions } = agents;
    return {
      agents,
      prompts,
      shared,
      identities: new Identities(broker, log),
      profiles,
      spawner: new AgentSpawner({ agents, profiles, prompts }),
      /** Starts turning messages into tasks and outcomes into answers. */
      run(isAwaited: ManagedAgentsOptions['isAwaited']): void {
        const { exchanges, tokens, spawnRate } = access;
        const inboxPrefix = config.KSI_NATS_INBOX;
        const { once } = tasks;
        const taking = { broker, blobs, agents, once, exchanges, tokens, spawnRate, metrics };
        lifecycle.add(new ManagedAgents({ ...taking, inboxPrefix, isAwaited, log })).start();
        lifecycle.add(new MessageExpiry({ broker, registry, positions, log })).start();
      },
    };
  });
