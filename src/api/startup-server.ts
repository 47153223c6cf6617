import type { FastifyInstance } from 'fastify';
import type { Config } from '../../contracts/config/config.js';
import type { Health } from '../../contracts/api/health.js';
import { ApiError } from '../errors/api-error.js';
import { buildHttpServer, type HttpServerOptions } from './http/edge/server.js';

export interface StartupServerOptions extends HttpServerOptions {
  readonly config: HttpServerOptions['config'] & Pick<Config, 'KSI_PORT'>;
  readonly version: string;
  /** Milliseconds that a start may take before this server listens. */
  readonly patienceMs: number;
}

const DEFAULT_REASON = 'the API has not reached the broker yet';

/** Answers 503 on the API's port while the API waits for the broker during its start. */
export class StartupServer {
  readonly #options: StartupServerOptions;
  readonly #failed = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #app: Promise<FastifyInstance | undefined> | undefined;
  #why: () => string | undefined = () => undefined;

  constructor(options: StartupServerOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => {
      this.#app = this.#listen();
    }, options.patienceMs);
  }

  /** Aborts if this server cannot listen. The API could not listen either. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Sets the function that returns the reason for the wait, for probes. */
  explain(why: () => string | undefined): void {
    this.#why = why;
  }

  /** Frees the port. Idempotent. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await (await this.#app)?.close();
  }

  async #listen(): Promise<FastifyInstance | undefined> {
    const { config, log } = this.#options;
    try {
      const app = await buildStartupApp(this.#options, () => this.#why() ?? DEFAULT_REASON);
      const url = await app.listen({ host: config.KSI_HOST, port: config.KSI_PORT });
      log.warn({ url }, 'the API answers 503 until it reaches the broker');
      return app;
    } catch (error) {
      this.#failed.abort(error);
      return undefined;
    }
  }
}

const stillStarting = (why: string): ApiError => new ApiError('broker_unavailable', `This API is starting: ${why}`);

async function buildStartupApp(options: StartupServerOptions, why: () => string): Promise<FastifyInstance> {
  const app = await buildHttpServer({ ...options, unmatched: () => stillStarting(why()) });
  const startedAt = performance.now();
  app.get('/livez', () => ({ live: true }));
  app.get('/readyz', (_request, reply) => reply.code(503).send({ ready: false, reason: why() }));
  app.get('/health', (): Health => ({
    status: 'degraded',
    version: options.version,
    uptime_s: Math.floor((performance.now() - startedAt) / 1_000),
    active_connections: 0,
    broker: { connected: false },
    read_model: { position: 0, behind: 0 },
  }));
  return app;
}
