import assert from 'node:assert/strict';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { chown } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Msg } from '@nats-io/transport-node';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { WorkerPresence } from '../../contracts/tasks/workers.js';
import { freePort } from '../fixtures/broker.js';
import { ORDINARY_USER, workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('a worker whose host is short of something', () => {
  let lab: WorkerLab;
  let worker: ChildProcess;
  let port: number;
  const presences: WorkerPresence[] = [];
  before(async () => {
    lab = await WorkerLab.start();
    lab.broker.nc.subscribe(SUBJECT.workersAll, {
      callback: (_error, message: Msg) => void (message.data.length > 0 && presences.push(message.json())),
    });
    port = await freePort();
    // Limits of processes hold for no root.
    const { uid, prefix } = ORDINARY_USER ?? { uid: process.getuid?.() ?? 0, prefix: [] };
    if (ORDINARY_USER !== undefined) await chown(lab.dir, uid, uid);
    const env = { KSI_CONCURRENCY: '1', KSI_CONTAINMENT: 'process_group', KSI_METRICS_PORT: String(port) };
    worker = workerProcess(lab, env, prefix);
    const { taskId } = await lab.post('warm up');
    dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
  });
  after(() => lab.stop());

  /** Only its own user may look at a process's limits and change them. */
  const prlimit = (...args: string[]): string => {
    const [program = '', ...rest] = [...(ORDINARY_USER?.prefix ?? []), 'prlimit', '--pid', String(worker.pid), ...args];
    return execFileSync(program, rest, { encoding: 'utf8' }).trim();
  };
  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  };

  for (const { what, soft, says } of [
    // A worker holds the first 20 from its start: none is free below.
    { what: 'nofile', soft: 20, says: 'ulimit -n' },
    { what: 'nproc', soft: 1, says: 'ulimit -u' },
  ] as const)
    it(`tries its task again, and that counts as no attempt (${what})`, async () => {
      const before = prlimit(`--${what}`, '--noheadings', '-o', 'SOFT');
      const met = await metric('ksi_worker_shortages');
      prlimit(`--${what}=${soft}:`);
      const { taskId } = await lab.post('x', { command: { policy: { max_attempts: 1, retry_on: [] } } });
      const retry = dataOf('SPAWN_RETRY', await Promise.race([lab.event('SPAWN_RETRY', taskId), lab.outcome(taskId)]));
      assert.deepEqual([retry.reason, retry.counted], ['host_unable', false]);
      assert.ok(retry.error?.message.includes(says), retry.error?.message);
      // It takes tasks more slowly, which is seen.
      while (presences.at(-1)?.shortage?.includes(says) !== true) await sleep(50);
      prlimit(`--${what}=${before}:`);
      assert.equal(await metric('ksi_worker_short'), 1);
      assert.ok((await metric('ksi_worker_shortages')) > met);
      const { attempt } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
      assert.ok(attempt > 1);
      while (presences.at(-1)?.shortage !== undefined) await sleep(50);
      assert.equal(worker.exitCode ?? worker.signalCode, null, 'the worker lives');
    });
});
