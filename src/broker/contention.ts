import { BrokerError } from './errors.js';

/** Each lost try means that another writer succeeded. More than this many in a row indicate a fault. */
const MAX_TRIES = 50;

/**
 * Retries a read followed by a compare-and-set.
 * @param step returns undefined if another writer was first.
 * @throws {BrokerError} conflict: other writers were first every time.
 */
export async function contend<T>(step: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const result = await step();
    if (result !== undefined) return result;
  }
  throw new BrokerError(
    'conflict',
    `Other writers changed the same subject first, ${MAX_TRIES} times in a row. Try again`,
  );
}
