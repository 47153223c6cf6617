import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock, timerMs } from '../../src/clock.js';
import { REPO_ROOT } from '../fixtures/paths.js';

describe('the clock', () => {
  it('rounds every duration up to whole milliseconds', () => {
    assert.deepEqual([0, 0.0001, 999.99, 1_000].map(timerMs), [0, 1, 1_000, 1_000]);
  });

  it('does not fire at once if a duration is too long for a timer', async () => {
    const early: string[] = [];
    const stop = systemClock.after(1e15, () => early.push('timer'));
    const deadline = systemClock.deadline(Infinity);
    // A timer whose duration does not fit fires after 1 ms.
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    stop();
    assert.deepEqual([early, deadline.aborted], [[], false]);
  });

  it("of the machine is read in one place, so that it is never compared with another host's timestamp", async () => {
    const sources = await allSources();
    const matching = (pattern: RegExp): string[] =>
      sources.filter(({ text }) => pattern.test(text)).map(({ name }) => name);
    assert.deepEqual(matching(/\bDate\.now\b|\bnew Date\(\)/), ['src/clock.ts'], SEE);
    assert.deepEqual(matching(/\bsystemClock\b/), DECIDE_NOTHING_BY_IT, SEE);
  });
});

const SEE = "use the broker's clock, or performance.now() for durations (ADR 33)";

/** They write or show the machine's time for people, or read what a person or Claude Code says by it. */
const DECIDE_NOTHING_BY_IT = [
  'src/bridge/envelope.ts',
  'src/bridge/runs.ts',
  'src/bridge/start.ts',
  'src/broker/connect.ts',
  'src/cli/output/times.ts',
  'src/cli/times-given.ts',
  'src/cli/watch.ts',
  'src/clock.ts',
  'src/process/log-file.ts',
  'src/store/damaged-files.ts',
  'src/uuid.ts',
  'workers/claude/login.ts',
];

async function allSources(): Promise<{ name: string; text: string }[]> {
  const sources = [];
  for (const folder of ['contracts', 'src', 'workers'])
    for (const path of await readdir(join(REPO_ROOT, folder), { recursive: true })) {
      const name = join(folder, path);
      if (name.endsWith('.ts')) sources.push({ name, text: await readFile(join(REPO_ROOT, name), 'utf8') });
    }
  return sources.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
