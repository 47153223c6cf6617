import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventData } from '../../contracts/events/events.js';
import { findContainment, GROUP_ONLY } from '../../workers/claude/containment.js';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { WorkerLab } from '../fixtures/worker.js';

const MINUTE_MS = 60_000;

/** The promise: everything that a worker started is gone so soon. */
const GONE_MS = 5_000;

describe(
  'what a worker started',
  { skip: process.platform !== 'linux' && 'processes are found by /proc' },
  async () => {
    const found = await findContainment();
    const kinds = found.kind === 'process_group' ? [found] : [found, GROUP_ONLY];
    let lab: WorkerLab;
    beforeEach(async () => {
      lab = await WorkerLab.start({ KSI_LEASE_S: '60' });
    });
    afterEach(() => lab.stop());

    /** Resolves when none of them is there; nothing tells of the end of somebody else's child, so it looks. */
    async function processGone(marker: string): Promise<void> {
      const since = performance.now();
      while (processesTagged(marker).length > 0) await sleep(20);
      assert.ok(performance.now() - since < GONE_MS);
    }

    /** Something runs that forked, called setsid, and ignores SIGTERM. @returns the marker of its worker. */
    async function running(): Promise<string> {
      const { taskId } = await lab.post(`x [[ignore-sigterm]] [[fork:${MINUTE_MS}]] [[hang]]`);
      await lab.event('SPAWN_MESSAGE', taskId, ({ message }) => JSON.stringify(message).includes('grandchild'));
      const { data } = await lab.event('SPAWN_START', taskId);
      const marker = workerMarker(data.worker_id);
      // claude, its child, and the grandchild that left it; while one becomes another program its environment can't be read.
      while (processesTagged(marker).length < 3) await sleep(20);
      return marker;
    }

    for (const containment of kinds) {
      const { kind } = containment;

      it(`is gone within 5 s when it is killed with SIGKILL (${kind})`, async () => {
        const child = workerProcess(lab, { KSI_CONTAINMENT: kind === 'process_group' ? kind : 'auto' });
        const online = await lab.until(() => lab.seen.find(({ event }) => event.type === 'WORKER_ONLINE'));
        assert.equal((online.event.data as EventData<'WORKER_ONLINE'>).containment, kind);
        const marker = await running();
        child.kill('SIGKILL');
        await once(child, 'exit');
        await processGone(marker);
      });

      it(`is gone when it stops (${kind})`, async () => {
        const { worker } = await lab.worker({ containment });
        const marker = await running();
        await worker.stop({ quick: true });
        assert.deepEqual(processesTagged(marker), []);
      });

      it(`is gone when its task has ended, what left the group included (${kind})`, async () => {
        await lab.worker({ containment });
        const { taskId } = await lab.post(`x [[fork:${MINUTE_MS}]]`);
        const { data } = await lab.event('SPAWN_START', taskId);
        assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
        await processGone(workerMarker(data.worker_id));
      });
    }

    it('is gone as soon as another worker starts there when it was killed together with its guard', async () => {
      const child = workerProcess(lab, { KSI_CONTAINMENT: 'process_group' });
      const marker = await running();
      const [id = ''] = marker.split('=').slice(1);
      for (const pid of [...guardsOf(id), child.pid ?? 0]) process.kill(pid, 'SIGKILL');
      await once(child, 'exit');
      assert.ok(processesTagged(marker).length > 0, 'nobody is left to end them');
      await lab.worker();
      assert.deepEqual(processesTagged(marker), []);
    });

    it('is gone also when the guard was killed before the worker', async () => {
      const { worker } = await lab.worker({ containment: GROUP_ONLY });
      const marker = await running();
      const guards = guardsOf(worker.id);
      assert.equal(guards.length, 1);
      for (const pid of guards) process.kill(pid, 'SIGKILL');
      while (guardsOf(worker.id).some((pid) => guards.includes(pid)) || guardsOf(worker.id).length === 0)
        await sleep(20);
      await worker.stop({ quick: true });
      assert.deepEqual(processesTagged(marker), []);
      assert.deepEqual(guardsOf(worker.id), []);
    });
  },
);

/** The guards of a worker: the processes with its marker among their arguments. */
function guardsOf(workerId: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && argumentsOf(entry).includes(workerMarker(workerId)))
    .map(Number);
}

function argumentsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // It has ended meanwhile.
  }
}
