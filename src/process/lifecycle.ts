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

/**
 * Builds a service from others. If the build fails, it stops the services that were already started.
 * @param build adds each service that it starts to the lifecycle.
 */
export async function serviceOf<T extends object>(build: (lifecycle: Lifecycle) => Promise<T>): Promise<T & Service> {
  const lifecycle = new Lifecycle();
  try {
    return Object.assign(await build(lifecycle), { stop: () => lifecycle.stop() });
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}
