import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Server as HttpsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { isEnded } from '../../contracts/tasks/states.js';
import { Blobs } from '../broker/blobs.js';
import { connectBroker } from '../broker/connect.js';
import { isBrokerAway } from '../broker/errors.js';
import { KnownStreams } from '../broker/known-streams.js';
import { TopologyKeeper } from '../broker/topology-keeper.js';
import { EventHub } from '../events/hub.js';
import { Tail } from '../store/tail.js';
import { Limit } from '../limit.js';
import type { ReadModel } from '../store/read-model.js';
import { DiskRoom, dataFolders } from '../process/disk-room.js';
import { mcpServersFile } from '../tools/mcp-servers.js';
import { PromptLibrary } from '../prompts/library.js';
import { toolPolicyFile } from '../tools/policy-file.js';
import { Workspaces, writersIn } from '../workspaces/roots.js';
import { sweepPlaces } from '../broker/workspace-places.js';
import { Acceptor } from '../tasks/accept/accept.js';
import { IdempotencyRecords } from '../tasks/accept/idempotency-records.js';
import { OnceAcceptor } from '../tasks/accept/once.js';
import { QueueGauge } from '../tasks/accept/queue-gauge.js';
import { listOf } from '../config/load.js';
import { refusePlaintext } from '../config/plaintext.js';
import { Agents } from '../agents/agents.js';
import { MessageExpiry } from '../agents/expiry.js';
import { Talk } from '../conversations/talk.js';
import { SourceWatch } from '../broker/source-watch.js';
import { ManagedAgents } from '../agents/managed.js';
import { NativeAgents } from './nats/native-agents.js';
import { Spawner } from '../agents/spawner.js';
import { TaskMessages } from '../agents/task-messages.js';
import { ApprovalDesk } from '../tasks/approvals/approvals.js';
import { ByRule } from '../tasks/approvals/by-rule.js';
import { PendingApprovals } from '../tasks/approvals/pending.js';
import { ApprovalRules } from '../tasks/approvals/rules.js';
import { Audit } from '../access/audit.js';
import { Authenticator } from '../access/auth.js';
import { Tls } from './http/edge/tls.js';
import { SpawnRate } from '../access/spawn-rate.js';
import { Seal } from '../access/tokens/seal.js';
import { TokenRegistry } from '../access/tokens/registry.js';
import { Tickets } from '../access/tokens/tickets.js';
import { BudgetKeeper } from '../tasks/budget-keeper.js';
import { Budget, budgetsFile } from '../access/budgets.js';
import type { ApiContext } from './context.js';
import { Deleter } from '../retention/deletion/deleter.js';
import { SessionRemover } from '../retention/deletion/session-remover.js';
import { TaskRemover } from '../retention/deletion/task-remover.js';
import { DeadLetters } from '../tasks/dead-letters.js';
import { Due } from '../tasks/due.js';
import { Exchanges } from '../access/exchanges.js';
import { Expirer } from '../tasks/expirer.js';
import { Identities } from '../agents/identities.js';
import { handsDesk } from './nats/start-agent-tools.js';
import { LostCommands } from '../tasks/lost-commands.js';
import { Metrics } from '../telemetry/metrics.js';
import { startNatsService } from './nats/service.js';
import { Profiles } from '../agents/profiles.js';
import { Prompts } from '../prompts/service.js';
import { buildServer } from './http/server.js';
import { SessionNames } from '../sessions/names.js';
import { SessionRecords } from '../sessions/records.js';
import { Sessions } from '../sessions/sessions.js';
import { Transcripts } from '../sessions/transcripts.js';
import { Canceller } from '../tasks/steer/cancel.js';
import { Inputs } from '../tasks/steer/input.js';
import { Interrupter } from '../tasks/steer/interrupt.js';
import { Retrier } from '../tasks/steer/retry.js';
import { Candidates } from '../retention/candidates.js';
import { RetentionRecords } from '../retention/records.js';
import { Retention } from '../retention/retention.js';
import { SharedEvents } from '../agents/shared/shared-events.js';
import { SharedState } from '../agents/shared/shared-state.js';
import { Starting } from './starting.js';
import { forgetNotAccepted } from '../retention/forget-not-accepted.js';
import { Sweeper } from '../tasks/sweeper.js';
import { TaskReader } from '../tasks/reader.js';
import { statusOfEvent } from '../../contracts/tasks/states.js';
import { STREAM } from '../../contracts/wire/names.js';
import type { Usage } from '../../contracts/access/usage.js';

export interface ApiOptions {
  readonly config: Config;
  readonly token: string;
  readonly version: string;
  readonly log: Logger;
  /** Ends the wait for the broker. */
  readonly signal: AbortSignal;
  /** How long the loss of a stream is reported before it is made anew. Default 5 s; tests have no time for that. */
  readonly reportLossMs?: number | undefined;
}

export interface Api {
  /** Where it listens. */
  readonly url: string;
  /** Takes no more, closes the clients' streams (1012), finishes the requests under way. Idempotent. */
  stop(): Promise<void>;
}

const REPLAYS_AT_ONCE = 8;
/** A start behind a healthy broker takes less, and needs no other server in the place of its own. */
const PATIENCE_MS = 500;
const RETRY_MS = 500;

/** Starts an API. A broker that goes away meanwhile makes the start begin again. */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { log, signal } = options;
  for (let again = false; ; again = true) {
    try {
      return await startOnce(options, again);
    } catch (error) {
      if (signal.aborted || !isBrokerAway(error)) throw error;
      log.warn({ err: error }, 'the broker went away while the API was starting; starting it again');
    }
  }
}

/** A start that fails stops what it had started. @param again answers 503 at once, as the start has been waited for already. */
async function startOnce(options: ApiOptions, again: boolean): Promise<Api> {
  const { config, log } = options;
  const closing = new AbortController();
  /** Ends in the reverse order of their start. */
  const stops: (() => Promise<unknown>)[] = [];
  let started = false;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll(closing, stops));
  try {
    if (config.KSI_TLS_CERT === undefined)
      refusePlaintext(
        config,
        'others could read the tokens on their way. Give KSI_TLS_CERT and KSI_TLS_KEY, or KSI_ALLOW_PLAINTEXT=yes if something before it adds TLS.',
      );
    const tls = Tls.of(config, log);
    stops.push(async () => tls?.stop());
    const early = new Authenticator(options.token);
    const patienceMs = again ? 0 : PATIENCE_MS;
    const starting = new Starting({ config, version: options.version, log, authenticator: early, tls, patienceMs });
    stops.push(() => starting.stop());
    const signal = AbortSignal.any([options.signal, starting.failed]);
    if (again) await sleep(RETRY_MS, undefined, { signal });
    const broker = await connectBroker({
      url: config.KSI_NATS_URL ?? `nats://127.0.0.1:${config.KSI_NATS_PORT}`,
      name: config.KSI_PROCESS ?? 'api',
      credentialsFile: config.KSI_NATS_CREDENTIALS,
      caFile: config.KSI_NATS_TLS_CA,
      inboxPrefix: config.KSI_NATS_INBOX,
      log,
      signal,
    });
    stops.push(() => broker.close());
    const folder = join(config.KSI_DIR, config.KSI_PROCESS ?? `api-${config.KSI_PORT}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const known = await KnownStreams.open(join(folder, 'streams.json'), log);
    stops.push(() => known.stop());
    const topology = new TopologyKeeper({ broker, config, known, reportMs: options.reportLossMs, log });
    stops.push(() => topology.stop());
    starting.explain(() => topology.fault);
    await topology.make(signal);
    topology.watch();
    await broker.clock.known(signal);
    const seal = await Seal.of(config.KSI_NATS_CREDENTIALS);
    const tokens = new TokenRegistry(broker, seal, log);
    stops.push(() => tokens.stop());
    await tokens.start();
    const spawnRate = new SpawnRate(config.KSI_SPAWN_RATE, broker, log);
    stops.push(() => spawnRate.stop());
    spawnRate.start();
    const audit = new Audit(broker, log);
    stops.push(() => audit.stop());
    const blobs = new Blobs(broker);
    const hub = new EventHub(broker, blobs, log);
    stops.push(() => hub.stop());
    await hub.start();
    topology.onAnother((stream) => {
      if (stream === STREAM.events) void hub.catchUp();
    });
    const limit = new Limit(REPLAYS_AT_ONCE);
    const tail = await Tail.open({ broker, blobs, hub, limit, path: join(folder, 'read-model.mdb'), log });
    stops.push(() => tail.stop());
    const gauge = new QueueGauge(broker, config, log);
    const workspaces = new Workspaces(config.KSI_WORKSPACES);
    const toolPolicy = toolPolicyFile(config.KSI_TOOL_POLICY, log);
    const mcpServers = mcpServersFile(config.KSI_MCP_SERVERS, log);
    const sessionRecords = new SessionRecords(broker, log);
    const sessionNames = new SessionNames(broker);
    const exchanges = new Exchanges(broker, tail.model);
    const budget = new Budget(budgetsFile(config.KSI_BUDGETS, log), tail.model, exchanges, broker.clock);
    const acceptor = new Acceptor({
      broker,
      blobs,
      hub,
      model: tail.model,
      disk: new DiskRoom(dataFolders(config.KSI_DIR)),
      gauge,
      topology,
      records: sessionRecords,
      names: sessionNames,
      budget,
      exchanges,
      workspaces,
      toolPolicy,
      mcpServers,
      config,
      log,
    });
    stops.push(() => acceptor.stop());
    const metrics = new Metrics(() => gauge.standing);
    const tasks = new TaskReader(broker, blobs, hub, tail.model, sessionNames);
    const idempotency = new IdempotencyRecords(broker);
    const once = new OnceAcceptor(broker, acceptor, idempotency, log);
    const canceller = new Canceller(broker, tasks, log);
    const pending = new PendingApprovals(hub, tail.model, log);
    stops.push(() => pending.stop());
    const library = new PromptLibrary({ own: config.KSI_PROMPTS, ownProfiles: config.KSI_PROFILES, log });
    const sharedEvents = new SharedEvents(broker, blobs, log);
    stops.push(() => sharedEvents.stop());
    const shared = new SharedState(broker, blobs, sharedEvents, log);
    const identities = new Identities(broker, log);
    const profiles = new Profiles(broker, library, log);
    const approvalRules = new ApprovalRules(broker, log);
    const byRule = new ByRule({ broker, hub, pending, rules: approvalRules, audit, log });
    stops.push(() => byRule.stop());
    const prompts = new Prompts(library, config.KSI_MAX_PROMPT_CHARS);
    const agents = new Agents({
      broker,
      blobs,
      hub,
      exchanges,
      approvalRules,
      admit: (request, principal) => acceptor.admit(request, principal),
      profile: (name, principal) => profiles.get(name, principal),
      nativeIds: listOf(config.KSI_NATS_AGENTS),
      log,
      closing: closing.signal,
    });
    stops.push(() => agents.stop());
    await agents.start();
    const spawner = new Spawner({ agents, profiles, prompts });
    const talk = new Talk({
      broker,
      inboxPrefix: config.KSI_NATS_INBOX,
      blobs,
      hub,
      agents,
      spawner,
      profiles,
      idempotency,
      canceller,
      admit: (request, principal) => acceptor.admit(request, principal),
      deleteSession: (id, principal) => context.deleter.session(id, principal),
      log,
    });
    stops.push(() => talk.stop());
    const retentionRecords = new RetentionRecords(broker);
    const retention = new Retention({
      broker,
      config,
      candidates: new Candidates({ broker, model: tail.model, registry: agents.registry, records: sessionRecords }),
      records: retentionRecords,
      deleter: {
        ended: (rows, by) => context.deleter.ended(rows, by),
        session: (id, by) => context.deleter.session(id, by),
      },
      isReady: () => tail.caughtUp,
      log,
    });
    stops.push(() => retention.stop());
    const dead = new DeadLetters(broker, blobs, once, spawnRate, log);
    const context: ApiContext = {
      config,
      log,
      version: options.version,
      broker,
      topology,
      blobs,
      hub,
      tail,
      limit,
      acceptor,
      once,
      dead,
      retrier: new Retrier({ broker, blobs, tasks, acceptor, dead, spawnRate }),
      tasks,
      exchanges,
      canceller,
      deleter: new Deleter({
        broker,
        tasks,
        model: tail.model,
        taskRemover: new TaskRemover({
          broker,
          blobs,
          model: tail.model,
          messages: new TaskMessages(broker, blobs),
          log,
        }),
        sessionRemover: new SessionRemover({
          broker,
          blobs,
          records: sessionRecords,
          names: sessionNames,
          approvalRules,
        }),
        canceller,
        tokens,
        records: sessionRecords,
        names: sessionNames,
        ofOwners: [shared, identities, profiles, approvalRules, sessionNames, exchanges, retentionRecords],
        agents: agents.remover,
        conversations: talk.conversations,
      }),
      retention,
      interrupter: new Interrupter(broker, tasks),
      inputs: new Inputs(broker, tasks),
      sessions: new Sessions(tail.model, new Transcripts(broker, blobs), sessionRecords, sessionNames),
      approvals: new ApprovalDesk({ broker, tasks, pending, rules: approvalRules, byRule }),
      approvalRules,
      shared,
      identities,
      profiles,
      prompts,
      spawner,
      agents,
      conversations: talk.conversations,
      gauge,
      authenticator: new Authenticator(options.token, { tokens, clock: broker.clock }),
      tokens,
      tickets: new Tickets(broker, seal),
      tls,
      spawnRate,
      audit,
      metrics,
      closing: closing.signal,
      started: () => started,
    };
    const app = await buildServer(context);
    stops.push(() => app.close());
    await starting.stop();
    // It listens before it is ready: probes and health answer while the read model catches up.
    const url = await app.listen({ host: config.KSI_HOST, port: config.KSI_PORT });
    if (app.server instanceof HttpsServer) tls?.follow(app.server);
    await gauge.refresh();
    await tail.start();
    await pending.start();
    byRule.start();
    count(context);
    const managed = new ManagedAgents({
      broker,
      blobs,
      agents,
      once,
      exchanges,
      tokens,
      spawnRate,
      metrics,
      inboxPrefix: config.KSI_NATS_INBOX,
      isWaitedFor: (message) => talk.isWaitedFor(message),
      log,
    });
    stops.push(() => managed.stop());
    managed.start();
    const { registry, positions } = agents;
    const messageExpiry = new MessageExpiry({ broker, registry, positions, log });
    stops.push(() => messageExpiry.stop());
    messageExpiry.start();
    const hands = handsDesk(context, budget);
    stops.push(() => hands.stop());
    hands.start();
    const sourceWatch = new SourceWatch(broker, log);
    stops.push(() => sourceWatch.stop());
    if (config.KSI_NATS_SERVERS > 1) sourceWatch.start();
    const native = new NativeAgents({ broker, agents, audit, ids: listOf(config.KSI_NATS_AGENTS), log });
    stops.push(() => native.stop());
    native.start();
    const service = await startNatsService(context);
    stops.push(() => service.stop());
    await talk.start();
    const due = new Due({ broker, inboxPrefix: config.KSI_NATS_INBOX, log });
    stops.push(() => due.stop());
    due.start();
    const lostCommands = new LostCommands({ broker, model: tail.model, topology, isReady: () => tail.caughtUp, log });
    const sweeper = new Sweeper(
      broker,
      new Expirer(broker, tail.model, log),
      (id) => ended(tail.model, id),
      [
        {
          done: 'deleted tasks that had not been accepted',
          sweep: (until) =>
            forgetNotAccepted({ model: tail.model, deleter: context.deleter, log }, broker.clock.now(), until),
        },
        {
          done: 'cancelled tasks whose command was lost with KSI_COMMANDS',
          sweep: (until) => lostCommands.sweep(until),
        },
        {
          done: 'repaired places in workspaces',
          sweep: (until) => sweepPlaces(broker, writersIn(config.KSI_WORKSPACE_WRITERS), until),
        },
      ],
      log,
    );
    stops.push(() => sweeper.stop());
    sweeper.start();
    topology.onAnother((stream) => {
      if (stream === STREAM.commands) sweeper.sweep();
    });
    retention.start();
    const keeper = new BudgetKeeper({ broker, hub, model: tail.model, budget, log });
    stops.push(() => keeper.stop());
    keeper.start();
    started = true;
    log.info({ url }, 'the API is ready');
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const ended = (model: ReadModel, taskId: string): boolean => {
  const row = model.get(taskId);
  return row !== undefined && isEnded(row.status);
};

async function stopAll(closing: AbortController, stops: (() => Promise<unknown>)[]): Promise<void> {
  closing.abort();
  const faults: unknown[] = [];
  // One that fails is no reason to leave the others running.
  for (const stop of stops.toReversed()) await stop().catch((error: unknown) => faults.push(error));
  if (faults.length > 0) throw new AggregateError(faults, 'not everything of the API could be stopped');
}

/** Counts every event, and how long tasks took. */
function count({ hub, tail, metrics }: ApiContext): void {
  hub.subscribe(({ type, data, timestamp }) => {
    metrics.events.inc({ type });
    if (data['usage'] !== undefined) metrics.took(String(data['owner']), data['usage'] as Usage);
    const status = statusOfEvent(type);
    if (status === undefined || !isEnded(status)) return;
    const row = typeof data['task_id'] === 'string' ? tail.model.get(data['task_id']) : undefined;
    if (row !== undefined)
      metrics.durations.observe({ status }, (Date.parse(timestamp) - Date.parse(row.created_at)) / 1_000);
  });
}
