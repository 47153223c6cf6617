import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { REPO_ROOT } from '../fixtures/paths.js';
import { run } from '../fixtures/cluster.js';

/** The figures of so short a run mean nothing; that there are figures keeps the benchmark from rotting. */
it('the benchmark runs, small, to its table and its JSON', async () => {
  const out = await mkdtemp(join(tmpdir(), 'ksi-bench-'));
  const env = Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  const done = await run(
    process.execPath,
    [join(REPO_ROOT, 'dist', 'test', 'bench', 'main.js'), '--smoke', '--out', out],
    env,
  );
  assert.equal(done.code, 0, done.stderr);
  const [file = ''] = await readdir(out);
  const { results } = JSON.parse(await readFile(join(out, file), 'utf8')) as {
    results: { name: string; ksi: number }[];
  };
  for (const scenario of [
    'accepted spawns',
    'POST to outcome',
    'from the end',
    'tasks',
    'frames',
    'idle memory',
    'messages between agents',
    '4 managed agents',
    'deletion by filter',
  ]) {
    const figures = results.filter(({ name }) => name.startsWith(scenario));
    assert.ok(figures.length > 0, `${scenario} is missing`);
    for (const { name, ksi } of figures) assert.ok(ksi > 0, `${name} is ${ksi}`);
  }
  await rm(out, { recursive: true });
});
