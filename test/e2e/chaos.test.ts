import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { environmentWithoutCoverage, run } from '../fixtures/cluster.js';
import { REPO_ROOT } from '../fixtures/paths.js';

const RUNS = [
  { servers: 1, seconds: 45 },
  { servers: 3, seconds: 30 },
] as const;

/** Another seed each time: the moments differ anyhow, and each run is to find something new. */
for (const { servers, seconds } of RUNS)
  it(`a cluster with ${servers} nats-server(s), whose processes are killed and frozen at random, loses, doubles and leaves behind nothing`, async () => {
    const out = await mkdtemp(join(tmpdir(), 'ksi-chaos-'));
    const env = environmentWithoutCoverage();
    const main = join(REPO_ROOT, 'dist', 'test', 'chaos', 'main.js');
    const done = await run(
      process.execPath,
      ['--enable-source-maps', main, '--seconds', String(seconds), '--servers', String(servers), '--out', out],
      env,
    );
    // With its history left in place.
    assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
    for (const fault of ['KILL', 'STOP'].flatMap((name) =>
      ['worker', 'api', 'broker'].map((role) => `SIG${name} ${role}`),
    ))
      assert.match(done.stdout, new RegExp(`[1-9][0-9]* ${fault}`), `${fault} was not tried:\n${done.stdout}`);
    await rm(out, { recursive: true });
  });
