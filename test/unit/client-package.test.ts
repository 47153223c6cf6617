import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { moduleGraph } from '../fixtures/module-graph.js';
import { REPO_ROOT } from '../fixtures/paths.js';

/** All that a browser loads for the client, as it is compiled, in one piece: not minified, comments and all. */
const MAX_GZIPPED_BYTES = 28_672;

describe('the package', () => {
  it('has a small client for browsers that loads no other modules', async (t) => {
    const { files, foreign } = await moduleGraph(join(REPO_ROOT, 'dist', 'src', 'client', 'browser.js'));
    assert.deepEqual(foreign, []);
    const whole = [...files.values()].join('\n');
    assert.doesNotMatch(whole, /\b(?:process|Buffer)\./, 'nothing of Node');
    const bytes = gzipSync(whole).length;
    t.diagnostic(`the browser's client: ${files.size} modules, ${whole.length} bytes, ${bytes} gzipped`);
    assert.ok(bytes <= MAX_GZIPPED_BYTES, `${bytes} bytes gzipped`);
  });

  it('exports existing files, with types', async () => {
    const { exports } = JSON.parse(await readFile(join(REPO_ROOT, 'package.json'), 'utf8')) as {
      exports: Record<string, Record<string, string>>;
    };
    for (const [name, conditions] of Object.entries(exports)) {
      assert.equal(Object.keys(conditions)[0], 'types', `${name}: the types come first`);
      for (const file of Object.values(conditions)) assert.ok(existsSync(join(REPO_ROOT, file)), file);
    }
    const { KsiClient } = await import('ksi');
    const { KsiNatsClient } = await import('ksi/nats');
    assert.deepEqual([typeof KsiClient, typeof KsiNatsClient], ['function', 'function']);
  });

  it('has types that compile in strict mode, for Node and for browsers', async () => {
    // Below the repository, so that `ksi` is found as its own name.
    const folder = await mkdtemp(join(REPO_ROOT, 'dist', 'consumer-'));
    try {
      const program = `import { KsiClient, KsiTaskError, type Task } from 'ksi';
export const run = async (token: string): Promise<Task> => {
  await using client = new KsiClient({ url: 'http://127.0.0.1:8000', token });
  for await (const { status } of client.tasks.list({ status: ['running'] })) status satisfies string;
  const task = await client.spawn({ prompt: 'Say hello', session_id: 'notes' });
  try {
    return await task.result({ signal: AbortSignal.timeout(1) });
  } catch (error) {
    if (error instanceof KsiTaskError) return error.task;
    throw error;
  }
};
// @ts-expect-error a field that there is none of
export const wrong = (client: KsiClient) => client.spawn({ promt: 'x' });
`;
      await writeFile(join(folder, 'program.ts'), program);
      for (const options of [
        ['--skipLibCheck', '--module', 'nodenext', '--types', 'node', '--lib', 'es2023,esnext.disposable'],
        [
          '--module',
          'esnext',
          '--moduleResolution',
          'bundler',
          '--customConditions',
          'browser',
          '--types',
          '',
          '--lib',
          'es2023,esnext.disposable,dom',
        ],
      ]) {
        const { status, stdout } = spawnSync(
          process.execPath,
          [
            join(REPO_ROOT, 'node_modules', 'typescript', 'lib', 'tsc.js'),
            '--ignoreConfig',
            '--noEmit',
            '--strict',
            '--target',
            'es2022',
            ...options,
            'program.ts',
          ],
          { cwd: folder, encoding: 'utf8' },
        );
        assert.equal(status, 0, `${options.join(' ')}\n${stdout}`);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
