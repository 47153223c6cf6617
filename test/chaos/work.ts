import type { SpawnRequest } from '../../contracts/tasks/spawn.js';

/** What a task is asked to do, as a part of the requests there are. The directives are the stand-in executable's. */
interface Work {
  readonly share: number;
  /** It is meant to fail. */
  readonly fails?: true;
  readonly make: (random: () => number) => Omit<SpawnRequest, 'prompt'> & { readonly directives: string };
}

const between = (least: number, most: number, random: () => number): number =>
  Math.round(least + random() * (most - least));

const WORKS: readonly Work[] = [
  {
    share: 60,
    make: (random) => ({
      directives: `[[messages:${between(1, 4, random)}]][[sleep:${between(100, 3_000, random)}]][[messages:${between(1, 4, random)}]]`,
    }),
  },
  // Longer than a lease of 3 s.
  { share: 8, make: (random) => ({ directives: `[[messages:2]][[sleep:${between(3_500, 8_000, random)}]]` }) },
  // Children that outlive it and have left its process group.
  { share: 10, make: (random) => ({ directives: `[[fork:60000]][[sleep:${between(500, 4_000, random)}]]` }) },
  { share: 6, make: () => ({ directives: '[[flaky:1]]', backoff: { base_s: 0.5 } }) },
  { share: 6, fails: true, make: () => ({ directives: '[[error:529]]', max_attempts: 2, backoff: { base_s: 0.5 } }) },
  { share: 5, fails: true, make: () => ({ directives: '[[messages:2]][[die:3]]', max_attempts: 1 }) },
  { share: 3, fails: true, make: () => ({ directives: '[[hang]]', timeout_s: 2, max_attempts: 1 }) },
  {
    share: 2,
    fails: true,
    make: () => ({ directives: '[[ignore-sigterm]][[fork:60000]][[hang]]', timeout_s: 2, max_attempts: 1 }),
  },
];
const SHARES = WORKS.reduce((sum, { share }) => sum + share, 0);

/** What a client asks for. */
export interface Wanted {
  readonly request: SpawnRequest;
  readonly fails: boolean;
}

/** A request of chance. */
export function chooseWork(key: string, random: () => number): Wanted {
  let left = random() * SHARES;
  const work = WORKS.find(({ share }) => (left -= share) < 0);
  const { directives, ...request } = work?.make(random) ?? { directives: '' };
  return { request: { prompt: `${keyMark(key)} ${directives}`, ...request }, fails: work?.fails === true };
}

const keyMark = (key: string): string => `[#${key}]`;

/** The key of the request that a prompt, or the answer to it, belongs to. */
export const keyIn = (text: string | undefined): string | undefined => /\[#([\w-]+)\]/.exec(text ?? '')?.[1];
