import type { Logger } from 'pino';
import type { Delivery } from '../broker/consume.js';
import { RETRY_MS } from '../retry.js';
import { apiErrorOf } from './api-error.js';

export interface HandleOptions {
  readonly delivery: Delivery;
  readonly handle: () => Promise<void>;
  /** The log messages for a delivery that comes again, and for one that is given up. */
  readonly says: { readonly again: string; readonly givenUp: string };
  readonly log: Logger;
}

/** Tries of a delivery whose failure is not transient. Others wait behind it. */
const MAX_TRIES = 20;

/** Handles a delivery and acknowledges it, or has it delivered again after a failure. Never rejects. */
export async function handleDelivery({ delivery, handle, says, log }: HandleOptions): Promise<void> {
  try {
    await handle();
    await delivery.ack();
  } catch (error) {
    const about = { err: error, subject: delivery.subject, seq: delivery.seq, tries: delivery.count };
    if (delivery.count >= MAX_TRIES && !apiErrorOf(error).transient) {
      log.error(about, says.givenUp);
      // If the acknowledgement is lost, the next delivery is given up.
      return delivery.ack().catch(() => undefined);
    }
    log.warn(about, says.again);
    delivery.nak(RETRY_MS.background);
  }
}
