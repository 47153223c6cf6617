import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { STREAM } from '../../contracts/wire/names.js';
import { ApiLab } from '../fixtures/api.js';

describe('a task that has not started in time', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  it('expires even without a worker, and makes room for the tasks that wait behind it', async () => {
    const session = { session_id: uuidv4() };
    const first = await lab.spawn({ prompt: 'x', queue_timeout_s: 1, ...session });
    const second = await lab.spawn({ prompt: 'x', queue_timeout_s: 1, ...session });
    const third = await lab.spawn({ prompt: 'x', ...session });
    const client = lab.connect('?since=0');
    for (const { task_id: id } of [first, second]) {
      await client.until(({ type, data }) => type === 'SPAWN_EXPIRED' && data['task_id'] === id);
      const { status, start_by, created_at, ended_at } = await lab.task(id);
      assert.equal(status, 'expired');
      assert.equal(Date.parse(start_by ?? '') - Date.parse(created_at), 1_000);
      assert.ok(Date.parse(ended_at ?? '') >= Date.parse(start_by ?? ''));
    }
    client.socket.terminate();
    while ((await lab.broker.jsm.streams.info(STREAM.commands)).state.messages > 1);
    const run = await lab.broker.jsm.streams.getMessage(STREAM.commands, {
      last_by_subj: `ksi.commands.spawn.default.next.${session.session_id}`,
    });
    assert.equal(run?.json<{ task_id: string }>().task_id, third.task_id);
    assert.match((await lab.task(third.task_id)).status, /queued|waiting/);
  });
});
