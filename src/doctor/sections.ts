import { findingsOf, saying, type Finding, type Group } from './finding.js';

export type Checks = AsyncGenerator<Finding> | readonly Finding[];

/**
 * What the checks of a group find until `time` is up. Checks that fail, or did not answer by then, are findings themselves.
 * Never rejects.
 */
export async function findings(group: Group, checks: Checks, time: AbortSignal): Promise<Finding[]> {
  const { failed } = findingsOf(group);
  const found: Finding[] = [];
  const all = (async (): Promise<boolean> => {
    try {
      for await (const finding of checks) found.push(finding);
    } catch (error) {
      found.push(failed('this check', `could not go on: ${saying(error)}`, AGAIN));
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

/** How many questions the broker is asked at once. */
const AT_ONCE = 32;

/** Asks for each item, some at once. @returns the answers, in the order of the items. */
export async function forEach<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) answers[index] = await ask(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
  return answers;
}
