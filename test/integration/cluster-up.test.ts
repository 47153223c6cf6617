import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import { leftovers } from '../../src/cluster/leftovers.js';
import { clusterPaths } from '../../src/cluster/paths.js';
import type { ClusterStatus } from '../../src/cluster/supervisor.js';
import { lockHolder } from '../../src/process/folder-lock.js';
import { identify, isAlive } from '../../src/process/identity.js';
import { freePort } from '../fixtures/broker.js';
import { KSI, startCluster, type TestCluster } from '../fixtures/cluster.js';

/** `ksi up` and `ksi down` as people use and misuse them, with the real processes. */
describe('ksi up', () => {
  /** One for all tests. Each begins with a cluster that is up. */
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster();
  });
  beforeEach(async () => {
    const up = await cluster.ksi(['up']);
    assert.equal(up.code, 0, up.stderr);
  });
  after(() => cluster?.stop());

  const endpointsOf = async (dir: string): Promise<Endpoints> =>
    JSON.parse(await readFile(join(dir, 'endpoints.json'), 'utf8')) as Endpoints;
  const statusOf = async (of: TestCluster): Promise<ClusterStatus> =>
    JSON.parse((await of.ksi(['status', '-o', 'json'])).stdout) as ClusterStatus;

  /** SIGKILL of `down` and of `up`, and of the supervisor with them: the next `up` has one ready cluster, and no other process. */
  const killsDuringUpAndDown = async (at: TestCluster): Promise<void> => {
    const { dir, env } = at;
    const paths = clusterPaths(dir);
    /** Kills a command, and the supervisor if asked to, when the command prints a line of the progress. */
    const kill = async (command: 'up' | 'down', moment: RegExp, supervisorToo: boolean): Promise<void> => {
      const child = spawn(process.execPath, [KSI, command], { env, stdio: ['ignore', 'ignore', 'pipe'] });
      const ended = once(child, 'exit');
      let reached = false;
      const printed: string[] = [];
      for await (const line of createInterface({ input: child.stderr })) {
        printed.push(line);
        if (!moment.test(line)) continue;
        reached = true;
        const { pid } = (supervisorToo ? lockHolder(paths.claim) : undefined) ?? {};
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
        child.kill('SIGKILL');
      }
      await ended;
      assert.ok(reached, `\`ksi ${command}\` printed no ${moment}:\n${printed.join('\n')}`);
    };
    const rounds = [
      { down: /stopping worker-1/, up: /^starting nats-server/, supervisorToo: false },
      { down: /stopping nats-1/, up: /waiting for .*readyz/, supervisorToo: true },
    ];
    for (const { down, up, supervisorToo } of rounds) {
      await kill('down', down, supervisorToo);
      await kill('up', up, supervisorToo);
      const again = await at.ksi(['up']);
      assert.equal(again.code, 0, again.stderr);
      const { state, pid } = await statusOf(at);
      const { pids } = await endpointsOf(dir);
      assert.deepEqual([state, pid], ['ready', pids['supervisor']]);
      const strays = (await leftovers(paths)).filter((each) => !Object.values(pids).includes(each.pid));
      assert.deepEqual(strays, []);
    }
  };

  it('is harmless a second time, scales the workers when asked to, and refuses what it cannot change', async () => {
    const { pids } = await endpointsOf(cluster.dir);
    const again = await cluster.ksi(['up']);
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /up already/);
    assert.deepEqual((await endpointsOf(cluster.dir)).pids, pids);

    assert.equal((await cluster.ksi(['up'], { env: { KSI_WORKERS: '2' } })).code, 0);
    const { processes } = await statusOf(cluster);
    assert.deepEqual(
      processes.flatMap(({ name, role }) => (role === 'worker' ? [name] : [])),
      ['worker-1', 'worker-2'],
    );
    const refused = await cluster.ksi(['up'], { env: { KSI_CONCURRENCY: '9' } });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /KSI_CONCURRENCY=9.*make restart/);
    const signedIn = await cluster.ksi(['up'], { env: { ANTHROPIC_AUTH_TOKEN: 'another' } });
    assert.equal(signedIn.code, 1);
    assert.match(signedIn.stderr, /ANTHROPIC_AUTH_TOKEN \(now not set\).*make restart/);

    assert.equal((await cluster.ksi(['down'])).code, 0);
    for (const pid of Object.values(pids)) assert.equal(identify(pid), undefined);
    assert.equal((await cluster.ksi(['status'])).code, 1);
    assert.match((await cluster.ksi(['down'])).stderr, /was not running/);
  });

  it('starts one cluster when it is called twice at once', async () => {
    await cluster.ksi(['down']);
    const both = await Promise.all([cluster.ksi(['up']), cluster.ksi(['up'])]);
    assert.deepEqual(
      both.map(({ code }) => code),
      [0, 0],
      both.map(({ stderr }) => stderr).join('\n'),
    );
    assert.equal(both.filter(({ stdout }) => stdout.includes('up already')).length, 1);
  });

  it('starts the cluster again while it is still stopping', async () => {
    const worker = (await endpointsOf(cluster.dir)).pids['worker-1'];
    assert.ok(worker !== undefined);
    process.kill(worker, 'SIGSTOP');
    const down = spawn(process.execPath, [KSI, 'down'], { env: cluster.env, stdio: 'ignore' });
    while ((await statusOf(cluster)).state !== 'stopping');
    down.kill('SIGKILL');
    const up = spawn(process.execPath, [KSI, 'up'], { env: cluster.env, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(up, 'exit');
    let waited = false;
    for await (const line of createInterface({ input: up.stderr })) {
      if (!line.includes('the cluster is stopping')) continue;
      waited = true;
      process.kill(worker, 'SIGCONT');
    }
    if (!waited) process.kill(worker, 'SIGCONT');
    assert.deepEqual([waited, await ended], [true, [0, null]]);
    assert.equal((await statusOf(cluster)).state, 'ready');
  });

  it('recovers from SIGKILL of the supervisor: its children are gone, the token and the work remain', async () => {
    const { pids } = await endpointsOf(cluster.dir);
    const old = Object.values(pids).flatMap((pid) => identify(pid) ?? []);
    process.kill(pids['supervisor'] ?? 0, 'SIGKILL');
    const up = await cluster.ksi(['up']);
    assert.equal(up.code, 0, up.stderr);
    assert.match(up.stderr, /ending nats-1 .*whose supervisor is gone/);
    assert.deepEqual(old.filter(isAlive), []);
    assert.equal((await readFile(join(cluster.dir, 'token'), 'utf8')).trim(), cluster.token);
    await killsDuringUpAndDown(cluster);
  });

  it('ends what a killed supervisor left with `down` alone', async () => {
    const { pids } = await endpointsOf(cluster.dir);
    const old = Object.values(pids).flatMap((pid) => identify(pid) ?? []);
    process.kill(pids['supervisor'] ?? 0, 'SIGKILL');
    assert.equal((await cluster.ksi(['down'])).code, 0);
    assert.deepEqual(old.filter(isAlive), []);
  });

  it('leaves a cluster alone whose folder was copied: no command with the copy reaches it', async () => {
    const { pids } = await endpointsOf(cluster.dir);
    const running = Object.values(pids).flatMap((pid) => identify(pid) ?? []);
    // One copy as `cp -a` makes it, and one of hard links, which has the very socket of the supervisor.
    for (const how of ['-a', '-al']) {
      const copy: string = `${cluster.dir}-copy${how}`;
      const env: Record<string, string> = {
        KSI_DIR: copy,
        KSI_PORT: String(await freePort()),
        KSI_NATS_PORT: String(await freePort()),
      };
      try {
        await promisify(execFile)('cp', [how, cluster.dir, copy]);
        assert.match((await cluster.ksi(['down'], { env })).stderr, /was not running/);
        assert.equal((await cluster.ksi(['status'], { env })).code, 1);
        const spawned = await cluster.ksi(['spawn', 'hello'], { env });
        assert.match(spawned.stderr, /No cluster runs in/);
        if (how === '-al') continue; // Its broker would write into the original's files.
        const up = await cluster.ksi(['up'], { env });
        assert.equal(up.code, 0, up.stderr);
        assert.match((await cluster.ksi(['down'], { env })).stderr, /KSI is down/);
      } finally {
        await rm(copy, { recursive: true, force: true });
      }
    }
    assert.deepEqual(running.filter(isAlive), running);
    assert.equal((await statusOf(cluster)).state, 'ready');
  });

  it('ends a supervisor whose socket was deleted, and starts over a stale one', async () => {
    const { pids } = await endpointsOf(cluster.dir);
    const running = Object.values(pids).flatMap((pid) => identify(pid) ?? []);
    await rm(join(cluster.dir, 'supervisor.sock'));
    assert.match((await cluster.ksi(['down'])).stderr, /KSI is down/);
    assert.deepEqual(running.filter(isAlive), []);
    await writeFile(join(cluster.dir, 'supervisor.sock'), 'stale');
    const up = await cluster.ksi(['up']);
    assert.equal(up.code, 0, up.stderr);
  });

  it('says which process failed and shows its log, and leaves nothing', async () => {
    await cluster.ksi(['down']);
    // The broker can't start on a store that is a file. This test is the last one, as the cluster's state is gone.
    const store = join(cluster.dir, 'nats', 'store');
    await rm(store, { recursive: true });
    await writeFile(store, '');
    const up = await cluster.ksi(['up']);
    assert.equal(up.code, 1);
    assert.match(up.stderr, /process_failed.*nats-1 does not stay up[\s\S]*nats-1\.log/);
    const recorded = JSON.parse(await readFile(join(cluster.dir, 'processes.json'), 'utf8')) as { processes: unknown };
    assert.deepEqual(recorded.processes, []);
  });
});
