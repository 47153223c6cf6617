import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

const PROMPT = 'canary-in-the-store';

describe('a broker with an encryption key', () => {
  let dir: string;
  let cluster: TestCluster;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-key-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const spawn = async (): Promise<void> => {
    const headers = { authorization: `Bearer ${cluster.token}`, 'content-type': 'application/json' };
    const answer = await request(`${cluster.url}/spawn`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ prompt: PROMPT }),
    });
    await answer.body.dump();
    assert.equal(answer.statusCode, 202);
  };
  const inStore = async (): Promise<boolean> => {
    const store = join(cluster.dir, 'nats', 'store');
    for (const entry of await readdir(store, { recursive: true, withFileTypes: true }))
      if (entry.isFile() && (await readFile(join(entry.parentPath, entry.name))).includes(PROMPT)) return true;
    return false;
  };

  it('stores nothing that can be read without it', async () => {
    const key = join(dir, 'key');
    await writeFile(key, 'k'.repeat(43), { mode: 0o600 });
    cluster = await startCluster({ KSI_WORKERS: '0', KSI_NATS_ENCRYPTION_KEY_FILE: key });
    await spawn();
    assert.equal(await inStore(), false);
    await cluster.stop();
    cluster = await startCluster({ KSI_WORKERS: '0' });
    await spawn();
    assert.equal(await inStore(), true, 'the test can tell');
    await cluster.stop();
  });

  it('is refused one that is too short, or not there', async () => {
    const key = join(dir, 'short');
    await writeFile(key, 'secret');
    for (const file of [key, join(dir, 'none')])
      await assert.rejects(startCluster({ KSI_NATS_ENCRYPTION_KEY_FILE: file }), /KSI_NATS_ENCRYPTION_KEY_FILE/);
  });
});
