import { Limit } from '../limit.js';
import { findingsOf, saying, type Finding, type Group } from './finding.js';

export type Checks = AsyncGenerator<Finding> | readonly Finding[];

/**
 * The findings of a group's checks, until `time` aborts. A check that throws or does not finish in time is a finding itself.
 * Never rejects.
 */
export async function findings(group: Group, checks: Checks, time: AbortSignal): Promise<Finding[]> {
  const { failed } = findingsOf(group);
  const found: Finding[] = [];
  const all = (async (): Promise<boolean> => {
    try {
      for await (const finding of checks) found.push(finding);
    } catch (error) {
      found.push(failed('this check', `it failed: ${saying(error)}`, AGAIN));
    }
    return true;
  })();
  if (await Promise.race([all, timeUp(time)])) return found;
  return [...found, failed('this check', 'did not answer in time', AGAIN)];
}

const AGAIN = 'Fix the problems above and run this again.';

const timeUp = (time: AbortSignal): Promise<false> =>
  new Promise((resolve) => {
    if (time.aborted) resolve(false);
    else time.addEventListener('abort', () => resolve(false), { once: true });
  });

/** Concurrent requests to the broker. */
const AT_ONCE = 32;

/** Calls `ask` for each item with bounded concurrency. @returns the answers, in the order of the items */
export function forEach<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<R[]> {
  const { run } = new Limit(AT_ONCE);
  return Promise.all(items.map((item) => run(() => ask(item))));
}
