import { Server as HttpsServer } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RETRY_MS } from '../retry.js';
import type { Logger } from 'pino';
import type { Config } from '../../contracts/config/config.js';
import { Authenticator } from '../access/auth.js';
import { startAccess } from '../access/start.js';
import { startAgents } from '../agents/start.js';
import { isBrokerAway } from '../broker/errors.js';
import { SourceWatch } from '../broker/source-watch.js';
import { startBroker } from '../broker/start.js';
import { listOf } from '../config/load.js';
import { refusePlaintext } from '../config/plaintext.js';
import { startConversations, type ConversationService } from '../conversations/start.js';
import { Lifecycle, partsOf, undoStart, type Service } from '../process/lifecycle.js';
import { startRetention, type RetentionService } from '../retention/start.js';
import { sessionsOf } from '../sessions/start.js';
import { startStore } from '../store/start.js';
import { startTasks } from '../tasks/start.js';
import { countEvents } from '../telemetry/count-events.js';
import { Metrics } from '../telemetry/metrics.js';
import { handlersOf } from './handlers.js';
import { Tls } from './http/edge/tls.js';
import { buildServer } from './http/server.js';
import { oncePerKey } from './call-idempotency.js';
import { NatsAgents } from './nats/nats-agents.js';
import { startNatsService } from './nats/service.js';
import { agentToolHandler } from './nats/start-agent-tools.js';
import { StartupServer } from './startup-server.js';

export interface ApiOptions {
  readonly config: Config;
  readonly token: string;
  readonly version: string;
  readonly log: Logger;
  /** Cancels the wait for the broker. */
  readonly signal: AbortSignal;
  /** Milliseconds for which the loss of a stream is reported before the stream is re-created. Default: 5,000. For tests. */
  readonly reportLossMs?: number | undefined;
}

export interface Api extends Service {
  /** The URL that the API listens at. */
  readonly url: string;
}

/** With a healthy broker, a start takes less time and needs no startup server. */
const PATIENCE_MS = 500;

/** Starts an API. If the broker becomes unavailable during the start, starts over. */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { log, signal } = options;
  for (let isRetry = false; ; isRetry = true) {
    const lifecycle = new Lifecycle();
    const closing = new AbortController();
    const stop = (): Promise<void> => {
      closing.abort();
      return lifecycle.stop();
    };
    try {
      return { url: await startOnce(options, lifecycle, closing.signal, isRetry), stop };
    } catch (error) {
      await undoStart(stop, log);
      if (signal.aborted || !isBrokerAway(error)) throw error;
      log.warn({ err: error }, 'the broker became unavailable while the API was starting; starting over');
    }
  }
}

/**
 * Starts each domain after the domains that it depends on. When the API stops, it accepts no more requests, closes its clients' streams
 * (close code 1012) and completes the requests in progress.
 * @param isRetry whether an earlier start failed. The startup server then answers at once. @returns the URL
 */
async function startOnce(
  options: ApiOptions,
  lifecycle: Lifecycle,
  closing: AbortSignal,
  isRetry: boolean,
): Promise<string> {
  const { config, version, log } = options;
  if (config.KSI_TLS_CERT === undefined)
    refusePlaintext(
      config,
      'clients would send their tokens in plaintext. Set KSI_TLS_CERT and KSI_TLS_KEY, or KSI_ALLOW_PLAINTEXT=yes if a proxy adds TLS.',
    );
  const tls = Tls.of(config, log);
  lifecycle.add({ stop: async () => tls?.stop() });
  const authenticator = new Authenticator(options.token);
  const patienceMs = isRetry ? 0 : PATIENCE_MS;
  const starting = lifecycle.add(new StartupServer({ config, version, log, authenticator, tls, patienceMs }));
  const signal = AbortSignal.any([options.signal, starting.failed]);
  if (isRetry) await sleep(RETRY_MS.start, undefined, { signal });

  const folder = join(config.KSI_DIR, config.KSI_PROCESS ?? `api-${config.KSI_PORT}`);
  const explain = (fault: () => string | undefined): void => starting.explain(fault);
  const { reportLossMs } = options;
  const connection = lifecycle.add(await startBroker({ config, folder, explain, reportLossMs, log, signal }));
  const { broker, blobs, topology } = connection;
  const store = lifecycle.add(await startStore({ broker, blobs, topology, folder, config, log }));
  const access = lifecycle.add(
    await startAccess({ broker, model: store.model, config, rootToken: options.token, log }),
  );
  const sessions = sessionsOf({ broker, blobs, model: store.model, log });
  const tasks = lifecycle.add(await startTasks({ broker, blobs, topology, store, access, sessions, config, log }));
  const metrics = new Metrics(() => tasks.gauge.standing);
  const agents = lifecycle.add(
    await startAgents({ broker, blobs, store, access, tasks, metrics, config, log, closing }),
  );
  const conversationService: ConversationService = lifecycle.add(
    await startConversations({
      broker,
      blobs,
      store,
      tasks,
      agents,
      deleteSession: (id, principal) => retention.deleter.session(id, principal),
      config,
      log,
    }),
  );
  const { conversations } = conversationService;
  const retention: RetentionService = lifecycle.add(
    await startRetention({ broker, blobs, store, access, sessions, tasks, agents, conversations, config, log }),
  );

  let started = false;
  const services = {
    ...partsOf(connection, store, access, tasks, agents, retention),
    sessions: sessions.sessions,
    files: sessions.files,
    conversations,
    config,
    log,
    version,
    tls,
    metrics,
    closing,
    started: () => started,
  };
  const handlers = oncePerKey(handlersOf(services), broker, log);
  const app = await buildServer(services, handlers);
  lifecycle.add({ stop: () => app.close() });
  await starting.stop();
  // The server listens before the API is ready, so that probes and `/health` answer while the read model catches up.
  const url = await app.listen({ host: config.KSI_HOST, port: config.KSI_PORT });
  if (app.server instanceof HttpsServer) tls?.follow(app.server);

  await tasks.gauge.refresh();
  await store.tail.start();
  await tasks.run([retention.sweep]);
  countEvents(store, metrics);
  agents.run((message) => conversationService.isAwaited(message));
  lifecycle.add(agentToolHandler(services)).start();
  const sourceWatch = lifecycle.add(new SourceWatch(broker, log));
  if (config.KSI_NATS_SERVERS > 1) sourceWatch.start();
  const ids = listOf(config.KSI_NATS_AGENTS);
  lifecycle.add(new NatsAgents({ broker, agents: agents.agents, audit: access.audit, ids, log })).start();
  lifecycle.add(await startNatsService(services, handlers));
  await conversationService.run();
  retention.run();
  started = true;
  log.info({ url }, 'the API is ready');
  return url;
}
