import type { Logger } from 'pino';
import { RETRY_MS } from '../retry.js';
import type { Delivery } from './consume.js';
import { isBrokerError } from './errors.js';

export interface Handling {
  readonly delivery: Delivery;
  readonly handle: () => Promise<void>;
  /** Whether a later try may help after an error that isn't the broker's. Default: never. */
  readonly passes?: (error: unknown) => boolean;
  /** What is said when it comes again, and when it is given up. */
  readonly says: { readonly again: string; readonly givenUp: string };
  readonly log: Logger;
}

/** Deliveries after which one is given up that no later try can help: others wait behind it. */
const MOST_TRIES = 20;

/** Handles what a consumer delivers, and acknowledges it; what could not be done now comes again. Never rejects. */
export async function handled({ delivery, handle, passes = () => false, says, log }: Handling): Promise<void> {
  try {
    await handle();
    await delivery.ack();
  } catch (error) {
    const about = { err: error, subject: delivery.subject, seq: delivery.seq, tries: delivery.count };
    const mayHelp = isBrokerError(error) ? error.kind !== 'refused' && error.kind !== 'unreadable' : passes(error);
    if (!mayHelp && delivery.count >= MOST_TRIES) {
      log.error(about, says.givenUp);
      // Otherwise it comes once more, and is given up then.
      return delivery.ack().catch(() => undefined);
    }
    log.warn(about, says.again);
    delivery.giveBack(RETRY_MS.background);
  }
}
