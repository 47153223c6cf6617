import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checkSeed, type Found } from './explore.js';
import { FLAWS } from './flaws.js';
import { SEEDS } from './seeds.js';
import { runWorld } from './world.js';

/**
 * KSI_SIM_SEED=n runs the one seed, with its whole trace; KSI_SIM_SEEDS=n so many, from KSI_SIM_FROM (1) on.
 * What fails goes to seeds.ts, with what it found.
 */
const ONE = process.env['KSI_SIM_SEED'];
const COUNT = Number(process.env['KSI_SIM_SEEDS'] ?? 2_000);
const FROM = Number(process.env['KSI_SIM_FROM'] ?? 1);
/** The rarest needs some hundreds. */
const FLAW_WITHIN = 2_500;
const MAIN = join(dirname(fileURLToPath(import.meta.url)), 'main.js');

/** In a process of its own, without coverage. */
async function explore<T>(...args: (string | number)[]): Promise<T> {
  // Named, as Node would hand it on otherwise.
  const env = { ...process.env, NODE_V8_COVERAGE: undefined };
  const argv = ['--enable-source-maps', MAIN, ...args.map(String)];
  try {
    return JSON.parse((await promisify(execFile)(process.execPath, argv, { env })).stdout) as T;
  } catch (error) {
    return assert.fail((error as { stderr?: string }).stderr ?? String(error));
  }
}

describe('simulation', { skip: ONE === undefined ? false : 'KSI_SIM_SEED names one seed', concurrency: 2 }, () => {
  for (const { seed, found } of SEEDS)
    it(`holds with seed ${seed}, which found: ${found}`, async () => {
      await checkSeed(seed);
    });

  it('is the same world for the same seed', async () => {
    for (const { seed } of SEEDS) {
      const [first, second] = [await runWorld({ seed, traced: true }), await runWorld({ seed, traced: true })];
      assert.ok(first.trace.length > 20);
      assert.deepEqual(second.trace, first.trace);
    }
  });

  it(`holds with ${COUNT} seeds from ${FROM}`, async (test) => {
    const begun = performance.now();
    const counts = await explore<{ [what: string]: number }>('seeds', FROM, COUNT);
    const faults = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
    test.diagnostic(`${COUNT} worlds in ${Math.round((performance.now() - begun) / 1_000)} s: ${faults.join(', ')}`);
  });

  it('finds every flaw that is put in', async (test) => {
    const found = await explore<Found[]>('flaws', FLAW_WITHIN);
    assert.equal(found.length, Object.keys(FLAWS).length);
    for (const { what, seed, violation } of found) test.diagnostic(`${what}: seed ${seed}: ${violation}`);
  });
});

describe('simulation of one seed', { skip: ONE === undefined ? 'KSI_SIM_SEED names none' : false }, () => {
  it(`holds with seed ${ONE}`, async (test) => {
    const { trace } = await runWorld({ seed: Number(ONE), traced: true });
    for (const line of trace) test.diagnostic(line);
    await checkSeed(Number(ONE), 0);
  });
});
