import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EventData } from '../../contracts/events.js';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('an exchange of managed agents', () => {
  let lab: WorkerLab;
  let apis: ApiOn[];
  let here: AgentsOver;
  let there: AgentsOver;
  before(async () => {
    lab = await WorkerLab.start({}, { sync: '1s' });
    apis = [await startApiOn(lab.server.url), await startApiOn(lab.server.url)];
    const [first, second] = apis;
    here = new AgentsOver(() => first?.url ?? '');
    there = new AgentsOver(() => second?.url ?? '');
    await lab.worker();
  });
  after(async () => {
    for (const api of apis) await api.stop();
    await lab.stop();
  });

  /** What became of the messages in an agent's inbox, once it has taken so many. */
  const receipts = (id: string, count: number): Promise<EventData<'AGENT_DELIVERED'>[]> =>
    lab.until(() => {
      const found = lab.seen
        .filter(({ subject }) => subject === `ksi.events.agent.${id}.delivered`)
        .map(({ event }) => dataOf('AGENT_DELIVERED', event));
      return found.length >= count ? found : undefined;
    });
  const refusals = (found: readonly EventData<'AGENT_DELIVERED'>[]): string[] =>
    found.map(({ refused }) => refused ?? 'task').toSorted();

  it('does not grow by the copies of answers that subscribers get', async () => {
    const ids = ['sub-a', 'sub-b', 'sub-c'];
    for (const agent_id of ids) await here.register({ agent_id, kind: 'managed', subscriptions: ['DIRECT_MESSAGE'] });
    await there.send({ to: 'sub-a', content: 'hello' });
    // Each has the message or its copy, and copies of the answers of the other two.
    for (const id of ids)
      assert.deepEqual(refusals(await receipts(id, 3)), ['copy_of_answer', 'copy_of_answer', 'task']);
    for (const id of ids) await here.remove(id);
  });

  it('ends with the answer to an answer, unless the agent that gets it asks for more', async () => {
    for (const agent_id of ['talk-a', 'talk-b']) await here.register({ agent_id, kind: 'managed' });
    await here.send({ from: 'talk-a', to: 'talk-b', content: 'hello' });
    // The message, and the answer to its answer.
    assert.deepEqual(refusals(await receipts('talk-b', 2)), ['reply_to_reply', 'task']);
    assert.deepEqual(refusals(await receipts('talk-a', 1)), ['task']);
    await there.update('talk-b', { answers_replies: true });
    await there.send({ from: 'talk-a', to: 'talk-b', content: 'once more' });
    assert.deepEqual(refusals((await receipts('talk-b', 4)).slice(2)), ['task', 'task']);
    assert.deepEqual(refusals((await receipts('talk-a', 3)).slice(1)), ['reply_to_reply', 'task']);
  });
});
