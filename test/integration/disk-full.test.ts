import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import { DiskSpace } from '../../src/process/disk-space.js';
import { LmdbFile } from '../../src/store/lmdb-file.js';
import { freePort } from '../fixtures/broker.js';
import { KSI, run, testEnvironment } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';

const execute = promisify(execFile);
/** The promise is 15 s, of a machine with time; one that is busy takes longer. The test prints how long it took. */
const RECOVERS_WITHIN_MS = 45_000;

/** Mounting needs root: the machine's, or that of a user namespace. */
const asRoot = process.getuid?.() === 0 && process.platform === 'linux';
const mayUnshare = !asRoot && process.platform === 'linux' && succeeds('unshare', ['-rm', 'true']);

function succeeds(program: string, args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const mount = async (folder: string, size: string): Promise<void> => {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await execute('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', folder]);
};
/** Leaves `share` of a disk free. */
async function fill(folder: string, share = -1): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(folder);
  const bytes = Math.max(0, Math.floor((bavail - blocks * share) * bsize));
  await writeFile(join(folder, 'ballast'), Buffer.alloc(bytes)).catch((error: unknown) =>
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC'),
  );
}
const empty = (folder: string): Promise<void> => rm(join(folder, 'ballast'), { force: true });

describe('a full disk, as another user', { skip: asRoot ? 'the tests below run as they are' : false }, () => {
  const skip = mayUnshare ? false : 'needs root or user namespaces to mount a tmpfs';
  it('is tried in a user namespace', { skip }, async () => {
    const args = ['-rm', process.execPath, '--enable-source-maps', '--test', fileURLToPath(import.meta.url)];
    const { code, stdout } = await run('unshare', args, testEnvironment());
    assert.equal(code, 0, stdout);
  });
});

describe('a disk that has bytes left', { skip: !asRoot }, () => {
  it('is full when it takes no further file', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-full-'));
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=16m,nr_inodes=110', 'tmpfs', dir]);
    try {
      assert.equal(new DiskSpace([dir]).full(), undefined);
      for (let n = 0; n < 109; n++) await writeFile(join(dir, String(n)), '');
      assert.equal(new DiskSpace([dir]).full(), dir);
    } finally {
      await execute('umount', ['-l', dir]);
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe('an LMDB file on a full disk', { skip: !asRoot }, () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-full-'));
    await mount(dir, '16m');
  });
  after(async () => {
    await execute('umount', ['-l', dir]);
    await rm(dir, { recursive: true, force: true });
  });

  it('refuses writes and files with ENOSPC, keeps what it has, and takes writes when there is room', async () => {
    const path = join(dir, 'a.mdb');
    const file = new LmdbFile(path);
    const data = file.root.openDB<string, number>({ name: 'data', encoding: 'string' });
    const put = (n: number): Promise<unknown> =>
      file.write({ entries: 1, bytes: 2_000 }, () => data.put(n, 'x'.repeat(1_990)));
    await put(0);
    await fill(dir);
    let n = 1;
    await assert.rejects(
      async () => {
        for (; n < 10_000; n++) await put(n);
      },
      { code: 'ENOSPC' },
    );
    assert.throws(() => new LmdbFile(join(dir, 'b.mdb')), { code: 'ENOSPC' });
    assert.deepEqual([data.get(n - 1)?.length, data.get(n)], [1_990, undefined]);
    await empty(dir);
    for (const end = n + 500; n < end; n++) await put(n);
    await file.close();
    const again = new LmdbFile(path);
    assert.equal(again.root.openDB<string, number>({ name: 'data', encoding: 'string' }).getCount(), n);
    await again.close();
  });
});

describe('a cluster whose disk is full', { skip: !asRoot }, () => {
  let dir: string;
  let store: string;
  let env: Record<string, string>;
  let token: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-full-'));
    store = join(dir, 'nats', 'store');
    await mount(dir, '64m');
    await mount(store, '48m');
    env = {
      ...testEnvironment(),
      KSI_DIR: dir,
      KSI_PORT: String(await freePort()),
      KSI_NATS_PORT: String(await freePort()),
      KSI_SPAWN_RATE: '0',
      KSI_DRAIN_S: '1',
      KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    };
    const up = await run(process.execPath, [KSI, 'up'], env);
    assert.equal(up.code, 0, up.stderr);
    token = (await readFile(join(dir, 'token'), 'utf8')).trim();
  });
  after(async () => {
    const down = await run(process.execPath, [KSI, 'down'], env);
    await execute('umount', ['-l', store]);
    await execute('umount', ['-l', dir]);
    await rm(dir, { recursive: true, force: true });
    assert.equal(down.code, 0, down.stderr);
  });

  const request = (path: string, body?: object, method = 'POST'): Promise<Response> =>
    fetch(`http://127.0.0.1:${env['KSI_PORT']}${path}`, {
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method, body: JSON.stringify(body) }),
    });
  const spawn = async (prompt: string): Promise<{ status: number; code?: string; task_id?: string }> => {
    const response = await request('/spawn', { prompt });
    return { ...((await response.json()) as { code?: string; task_id?: string }), status: response.status };
  };
  const endpoints = async (): Promise<Endpoints> =>
    JSON.parse(await readFile(join(dir, 'endpoints.json'), 'utf8')) as Endpoints;
  const until = async (what: string, ms: number, reached: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + ms;
    while (!(await reached())) {
      assert.ok(performance.now() < deadline, what);
      await sleep(100);
    }
  };
  const isWriting = async (): Promise<boolean> => {
    const monitor = (await endpoints()).nats.servers[0]?.monitor ?? '';
    return (await fetch(`${monitor}/healthz`)).status !== 503;
  };
  const brokerHasStoppedWriting = async (): Promise<boolean> => {
    // A small write may still fit into the last page. What it is answered does not matter.
    void request('/shared/large', { value: 'x'.repeat(16_384) }, 'PUT').catch(() => undefined);
    return !(await isWriting());
  };
  const accept = async (count: number): Promise<string[]> => {
    const accepted = await Promise.all(Array.from({ length: count }, () => spawn('[[sleep:2000]] hello')));
    return accepted.map(({ task_id: id }) => id ?? '');
  };
  const untilRecovered = async (t: TestContext): Promise<void> => {
    const begun = performance.now();
    const works = async (): Promise<boolean> =>
      (await isWriting()) && (await request('/spawn?wait=30', { prompt: 'hello' })).status === 200;
    await until('the broker writes, and a task runs', RECOVERS_WITHIN_MS, () => works().catch(() => false));
    t.diagnostic(`recovered ${((performance.now() - begun) / 1_000).toFixed(1)} s after there was room`);
  };
  const untilCompleted = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) {
      await until(`${id} has ended`, 60_000, async () => {
        const { status } = (await (await request(`/tasks/${id}`)).json()) as { status: string };
        assert.ok(['queued', 'running', 'retrying', 'completed'].includes(status), `${id} is ${status}`);
        return status === 'completed';
      });
    }
  };

  it('takes tasks at 95 %', async () => {
    await fill(dir, 0.05);
    await fill(store, 0.05);
    assert.equal((await spawn('hello')).status, 202);
    await empty(dir);
    await empty(store);
  });

  it('recovers by itself when only the store of the broker was full, and loses no task', async (t) => {
    const { pids } = await endpoints();
    const accepted = await accept(6);
    await fill(store);
    const { status, code } = await spawn('hello');
    assert.deepEqual([status, code], [507, 'disk_full']);
    const ready = await request('/readyz');
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /the disk of .* is full/);
    await until('the broker meets the full disk', 10_000, brokerHasStoppedWriting);
    await empty(store);
    await untilRecovered(t);
    await untilCompleted(accepted);
    const now = (await endpoints()).pids;
    for (const name of ['supervisor', 'api-1', 'worker-1']) assert.equal(now[name], pids[name], name);
  });

  it('recovers by itself when the whole disk was full and a worker was killed meanwhile, and loses no task', async (t) => {
    const { pids } = await endpoints();
    const accepted = await accept(6);
    await fill(dir);
    await fill(store);
    assert.equal((await spawn('hello')).code, 'disk_full');
    await until('the broker meets the full disk', 10_000, brokerHasStoppedWriting);
    process.kill(pids['worker-1'] ?? 0, 'SIGKILL');
    assert.equal((await request('/tasks')).status, 200);
    await empty(dir);
    await empty(store);
    await untilRecovered(t);
    await untilCompleted(accepted);
    const now = (await endpoints()).pids;
    for (const name of ['supervisor', 'api-1']) assert.equal(now[name], pids[name], name);
    assert.notEqual(now['worker-1'], pids['worker-1']);
  });
});
