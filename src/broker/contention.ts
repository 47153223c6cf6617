import { BrokerError } from './errors.js';

/** Each lost try is another writer's success, of which there are few in a moment: more than these mean that something is wrong. */
const MAX_TRIES = 50;

/**
 * Repeats a step of reading and conditional writing while other writers are first.
 * @param step undefined: another writer was first.
 * @throws {BrokerError} conflict, when others were first every time.
 */
export async function contend<T>(step: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const result = await step();
    if (result !== undefined) return result;
  }
  throw new BrokerError('conflict', `Other writers were first ${MAX_TRIES} times in a row`);
}
