import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import { presentWorkers } from '../../src/broker/workers.js';
import { WorkerLab } from '../fixtures/worker.js';

describe("a worker's presence", () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_CONCURRENCY: '3', KSI_QUEUES: 'default,slow' });
  });
  after(() => lab.stop());

  it('is shown from its start to its stop', async () => {
    const told = lab.broker.nc.subscribe(SUBJECT.workersAll, { max: 1 });
    const { worker } = await lab.worker();
    for await (const _ of told);
    await lab.broker.nc.flush();
    const [shown] = await presentWorkers(lab.broker);
    assert.ok(shown !== undefined);
    const { worker_id, state, concurrency, running, queues, pid, containment } = shown;
    assert.deepEqual(
      { worker_id, state, concurrency, running, queues, pid },
      {
        worker_id: worker.id,
        state: 'working',
        concurrency: 3,
        running: 0,
        queues: ['default', 'slow'],
        pid: process.pid,
      },
    );
    assert.match(containment, /^(pid_namespace|process_group)$/);
    await worker.stop();
    assert.deepEqual(await presentWorkers(lab.broker), []);
  });

  it('is told as lost when it has been silent, and leaves out what is no entry of ours', async () => {
    const entry = {
      v: FORMAT_VERSION,
      worker_id: 'w_old',
      host: 'h',
      pid: 1,
      concurrency: 1,
      running: 1,
      queues: ['default'],
      containment: 'process_group',
      started_at: new Date(0).toISOString(),
      state: 'working',
    };
    await lab.broker.publisher.publish({
      subject: SUBJECT.worker('worker-1', 'w_old'),
      payload: JSON.stringify(entry),
    });
    await lab.broker.publisher.publish({ subject: SUBJECT.worker('worker-1', 'w_odd'), payload: '{"not":"ours"}' });
    const shownAt = async (now: number): Promise<string[]> =>
      (await presentWorkers(lab.broker, now)).map(({ worker_id: id, state }) => `${id} ${state}`);
    assert.deepEqual(await shownAt(Date.now()), ['w_old working']);
    assert.deepEqual(await shownAt(Date.now() + 16_000), ['w_old lost']);
    const { config } = await lab.broker.jsm.streams.info(`KV_${BUCKET.workers}`);
    assert.equal(config.max_age, 60e9, 'its entry goes in the end');
  });
});
