import type { Logger } from 'pino';
import type { WorkerContext } from './context.js';
import type { Lease } from './lease.js';

/**
 * Waits until a run that has not started can be its worker's exclusive run. Extends the run's lease meanwhile.
 * @returns ends the exclusive run. Undefined: another run is exclusive, or the worker stops.
 * @throws {Stopped} when the lease is lost.
 */
export async function waitForExclusiveRun(
  { broker, exclusiveRun, shutdown, leaseMs }: Pick<WorkerContext, 'broker' | 'exclusiveRun' | 'shutdown' | 'leaseMs'>,
  lease: Pick<Lease, 'signal' | 'extend'>,
  log: Logger,
): Promise<(() => void) | undefined> {
  const keep = (): void => {
    lease.extend().catch((error: unknown) => log.warn({ err: error }, 'could not extend the lease'));
    forgetNext = broker.clock.after(leaseMs / 3, keep);
  };
  let forgetNext = broker.clock.after(leaseMs / 3, keep);
  try {
    return await exclusiveRun.enter(AbortSignal.any([lease.signal, shutdown]));
  } catch (error) {
    lease.signal.throwIfAborted();
    if (shutdown.aborted) return undefined;
    throw error;
  } finally {
    forgetNext();
  }
}
