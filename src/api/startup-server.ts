import type { FastifyInstance } from 'fastify';
import type { Config } from '../../contracts/config/config.js';
import type { Health } from '../../contracts/api/health.js';
import { ApiError } from '../errors/api-error.js';
import { buildHttpServer, type HttpServerOptions } from './http/edge/server.js';

export interface StartupServerOptions extends HttpServerOptions {
  readonly config: HttpServerOptions['config'] & Pick<Config, 'KSI_PORT'>;
  readonly version: string;
  /** How long a start may take before its port answers. */
  readonly patienceMs: number;
}

const REASON = 'the broker has not been reached yet';

/** Stands in for an API that waits for its broker at its start, so that its port answers, with 503, and isn't dead. */
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

  /** Aborts when it can't listen: neither could the API. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Has probes told what is waited for. */
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
      const app = await buildStarting(this.#options, () => this.#why() ?? REASON);
      const url = await app.listen({ host: config.KSI_HOST, port: config.KSI_PORT });
      log.warn({ url }, 'the API answers 503 until it reaches the broker');
      return app;
    } catch (error) {
      this.#failed.abort(error);
      return undefined;
    }
  }
}

const brokerAway = (why: string): ApiError => new ApiError('broker_unavailable', `This API has just started: ${why}`);

async function buildStarting(options: StartupServerOptions, why: () => string): Promise<FastifyInstance> {
  const app = await buildHttpServer({ ...options, unknown: () => brokerAway(why()) });
  const begun = performance.now();
  app.get('/livez', () => ({ live: true }));
  app.get('/readyz', (_request, reply) => reply.code(503).send({ ready: false, reason: why() }));
  app.get('/health', (): Health => ({
    status: 'degraded',
    version: options.version,
    uptime_s: Math.floor((performance.now() - begun) / 1_000),
    active_connections: 0,
    broker: { connected: false },
    read_model: { position: 0, behind: 0 },
  }));
  return app;
}
