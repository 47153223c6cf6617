import type { Logger } from 'pino';
import type { WorkerContext } from './context.js';
import type { Lease } from './lease.js';

/**
 * Keeps the lease of a run that has not started until it has its worker for itself.
 * @returns what ends that; undefined when another run has the worker, or the worker stops.
 * @throws {Stopped} when the lease is lost.
 */
export async function untilAlone(
  { broker, quarantine, shutdown, leaseMs }: Pick<WorkerContext, 'broker' | 'quarantine' | 'shutdown' | 'leaseMs'>,
  lease: Pick<Lease, 'signal' | 'extend'>,
  log: Logger,
): Promise<(() => void) | undefined> {
  const keep = (): void => {
    lease.extend().catch((error: unknown) => log.warn({ err: error }, 'the lease was not renewed'));
    forgetNext = broker.clock.after(leaseMs / 3, keep);
  };
  let forgetNext = broker.clock.after(leaseMs / 3, keep);
  try {
    return await quarantine.enter(AbortSignal.any([lease.signal, shutdown]));
  } catch (error) {
    lease.signal.throwIfAborted();
    if (shutdown.aborted) return undefined;
    throw error;
  } finally {
    forgetNext();
  }
}
