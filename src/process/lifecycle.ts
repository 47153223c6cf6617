import type { Logger } from 'pino';

/** A part of a process that runs until it is stopped. */
export interface Service {
  /** Resolves when its work has ended. Idempotent. */
  stop(): Promise<unknown>;
}

/** Stops services in the reverse order of their start. */
export class Lifecycle implements Service {
  readonly #services: Pick<Service, 'stop'>[] = [];
  #stopping: Promise<void> | undefined;

  /** Stops the service with the others. @returns the service */
  add<S extends Service>(service: S): S {
    this.#services.push(service);
    return service;
  }

  /** @throws {AggregateError} when a service could not be stopped. It stops the others nevertheless. */
  stop(): Promise<void> {
    return (this.#stopping ??= this.#stopAll());
  }

  async #stopAll(): Promise<void> {
    const faults: unknown[] = [];
    for (const service of this.#services.toReversed())
      await service.stop().catch((error: unknown) => faults.push(error));
    if (faults.length > 0) throw new AggregateError(faults, 'some services could not be stopped');
  }
}

/** Stops a service whose start failed. A fault of the stop is only logged, as callers act on the fault of the start. Never rejects. */
export async function undoStart(stop: () => Promise<unknown>, log: Pick<Logger, 'error'>): Promise<void> {
  await stop().catch((error: unknown) => log.error({ err: error }, 'a start failed, and not all of it was stopped'));
}

/**
 * Builds a service from others. If the build fails, it stops the services that were already started.
 * @param build adds each service that it starts to the lifecycle.
 */
export async function serviceOf<T extends object>(
  log: Pick<Logger, 'error'>,
  build: (lifecycle: Lifecycle) => Promise<T>,
): Promise<T & Service> {
  const lifecycle = new Lifecycle();
  const stop = (): Promise<void> => lifecycle.stop();
  try {
    return Object.assign(await build(lifecycle), { stop });
  } catch (error) {
    await undoStart(stop, log);
    throw error;
  }
}

type PartsOf<Services extends readonly unknown[]> = Services extends readonly [infer First, ...infer Rest]
  ? Omit<First, 'stop' | 'run'> & PartsOf<Rest>
  : unknown;

/** The parts of several services in one object, without the services' own `stop` and `run`. @throws {Error} when two parts have one name. */
export function partsOf<Services extends readonly Service[]>(...services: Services): PartsOf<Services> {
  const parts = services.flatMap((service) => Object.entries(service)).filter(([name]) => !/^(stop|run)$/.test(name));
  const names = parts.map(([name]) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`Two services have a part of the name ${twice}`);
  return Object.fromEntries(parts) as PartsOf<Services>;
}
