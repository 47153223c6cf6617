import { FLAWS } from './flaws.js';
import { runWorld, type Flaws, type Ran } from './world.js';

const TAIL = 60;

/** Between worlds others may have a turn. */
const breathe = (): Promise<void> => new Promise(setImmediate);

/** @throws an Error with the end of its trace when a world's invariants do not hold. */
export async function checkSeed(seed: number, tail = TAIL): Promise<Ran['counts']> {
  const { violations, counts } = await runWorld({ seed });
  if (violations.length === 0) return counts;
  const { trace } = await runWorld({ seed, traced: true });
  const again = `again, with all of its trace: KSI_SIM_SEED=${seed} node dist/test/run.js simulation`;
  throw new Error([`seed ${seed}: ${violations.join('; ')}`, ...trace.slice(-tail), again].join('\n'));
}

/** Checks `count` seeds from `from` on. @returns what happened in them. @throws as `checkSeed`. */
export async function checkSeeds(from: number, count: number): Promise<Ran['counts']> {
  const totals: { [what: string]: number } = {};
  for (let seed = from; seed < from + count; seed++) {
    for (const [what, times] of Object.entries(await checkSeed(seed))) totals[what] = (totals[what] ?? 0) + times;
    await breathe();
  }
  return totals;
}

export interface Found {
  readonly what: string;
  readonly seed: number;
  readonly violation: string;
}

/** The first seed of each flaw that shows it. @throws when one is not found within so many. */
export async function findFlaws(within: number): Promise<Found[]> {
  const found: Found[] = [];
  for (const [what, make] of Object.entries(FLAWS)) found.push({ what, ...(await findFlaw(what, make, within)) });
  return found;
}

async function findFlaw(what: string, make: () => Flaws, within: number): Promise<Omit<Found, 'what'>> {
  for (let seed = 1; seed <= within; seed++) {
    const [violation] = (await runWorld({ seed, flaws: make() })).violations;
    if (violation !== undefined) return { seed, violation };
    await breathe();
  }
  throw new Error(`no world of ${within} showed ${what}`);
}
