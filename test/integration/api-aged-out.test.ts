import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { lastBySubject, deleteMessage, type Stored } from '../../src/broker/read.js';
import { ApiLab, type Answer } from '../fixtures/api.js';

/** The read model keeps tasks for longer than the broker keeps their events. */
describe('a task whose events have expired', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const lastState = (taskId: string): Promise<Stored | undefined> =>
    lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(taskId));
  const ask = (taskId: string, verb: string): Promise<Answer> =>
    lab.request(`/tasks/${taskId}/${verb}`, { method: 'POST' });

  it('keeps its one outcome', async () => {
    const task = await lab.spawn();
    const client = lab.connect('?since=0');
    await lab.finish(task);
    await client.until(({ type, data }) => type === 'SPAWN_COMPLETE' && data['task_id'] === task.task_id);
    client.socket.terminate();
    await lab.broker.jsm.streams.purge(STREAM.events, { filter: SUBJECT.taskAll(task.task_id) });
    for (const [verb, code] of [
      ['cancel', 'task_ended'],
      ['interrupt', 'task_ended'],
    ] as const)
      assert.equal((await ask(task.task_id, verb)).body['code'], code, verb);
    // Its run is still in the queue, as nobody has acknowledged it: so its command is known.
    assert.equal((await ask(task.task_id, 'retry')).status, 202);
    assert.equal((await lab.task(task.task_id)).status, 'completed');
    assert.equal(await lastState(task.task_id), undefined);
  });

  it('is not shown as open by an API that was down when it ended', async () => {
    const task = await lab.spawn();
    while ((await lab.task(task.task_id)).status !== 'queued' || (await lastState(task.task_id)) === undefined);
    await lab.stopApi();
    await lab.finish(task);
    const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(task.session_id));
    await deleteMessage(lab.broker, STREAM.commands, run?.seq ?? 0);
    await lab.broker.jsm.streams.purge(STREAM.events);
    await lab.startApi();
    assert.equal((await lab.request(`/tasks/${task.task_id}`)).status, 404);
  });
});
