import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import type { EventData } from '../../contracts/events/events.js';
import type { ExchangeView } from '../../contracts/access/exchanges.js';
import { NO_USAGE } from '../../contracts/access/usage.js';
import type { ApiError } from '../../src/errors/api-error.js';
import { Exchanges } from '../../src/access/exchanges.js';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { connectTest } from '../fixtures/connection.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';
import { silent } from '../fixtures/connection.js';

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

  it('does not grow because of the copies of answers that subscribers get', async () => {
    const ids = ['sub-a', 'sub-b', 'sub-c'];
    for (const agent_id of ids) await here.register({ agent_id, kind: 'managed', subscriptions: ['DIRECT_MESSAGE'] });
    await there.send({ to: 'sub-a', content: 'hello' });
    // Each has the message or its copy, and copies of the answers of the other two.
    for (const id of ids)
      assert.deepEqual(refusals(await receipts(id, 3)), ['copy_of_answer', 'copy_of_answer', 'task']);
    for (const id of ids) await here.remove(id);
  });

  it('ends with the answer to an answer, unless the agent that gets it has answers_replies', async () => {
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

  const exchange = async (api: AgentsOver, id: string): Promise<ExchangeView> => {
    const { status, body } = await api.ask('GET', `/exchanges/${id}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body as unknown as ExchangeView;
  };

  it('has as many tasks as its limits allow across all APIs, and reports the excess message to its sender', async () => {
    const ids = ['loop-a', 'loop-b'];
    for (const agent_id of ids) await here.register({ agent_id, kind: 'managed', answers_replies: true });
    const sent = await there.send({ from: 'loop-a', to: 'loop-b', content: 'hello', exchange_limits: { tasks: 5 } });
    // The sixth message is refused, to its receiver: b, a, b, a, b, and then a.
    assert.deepEqual(refusals(await receipts('loop-a', 3)), ['exchange_limit', 'task', 'task']);
    await lab.until(() =>
      lab.seen.find(
        ({ event }) =>
          event.type === 'AGENT_MESSAGE' && dataOf('AGENT_MESSAGE', event).error?.code === 'exchange_limit',
      ),
    );
    for (const api of [here, there]) {
      const shown = await exchange(api, sent.message_id);
      assert.deepEqual([shown.tasks, shown.limits.tasks, shown.tool_calls], [5, 5, 0]);
      assert.ok(shown.messages >= 5, `${shown.messages} messages`);
    }
    const { body } = await there.ask('GET', `/tasks?exchange_id=${sent.message_id}&limit=2`);
    const { items: tasks, total } = body as { items: unknown[]; total: { tasks: number; open: number } };
    assert.deepEqual([tasks.length, total.tasks, total.open], [2, 5, 0]);
    assert.equal((await here.ask('GET', `/exchanges/${uuidv4()}`)).status, 404);
  });

  it('obeys the limits of its agents, of which the lowest applies', async () => {
    await here.register({ agent_id: 'low-a', kind: 'managed', answers_replies: true, exchange_limits: { tasks: 2 } });
    await here.register({ agent_id: 'low-b', kind: 'managed', answers_replies: true, exchange_limits: { tasks: 500 } });
    const sent = await here.send({ from: 'low-a', to: 'low-b', content: 'hello', exchange_limits: { tasks: 300 } });
    await receipts('low-a', 1);
    assert.deepEqual(refusals(await receipts('low-b', 2)), ['exchange_limit', 'task']);
    const { tasks, limits } = await exchange(there, sent.message_id);
    assert.deepEqual([tasks, limits.tasks], [2, 2]);
  });

  it('does not exceed its limit if many tasks are requested at once at several APIs', async () => {
    const brokers = await Promise.all([1, 2, 3].map(() => connectTest(lab.server.url)));
    const none = {
      sum: () => Promise.resolve({ tasks: 0, open: 0, usage: NO_USAGE }),
      deletedCosts: () => Promise.resolve(0),
    };
    const counters = brokers.map((broker) => new Exchanges(broker, none, silent));
    const id = uuidv4();
    await counters[0]?.limit('local', id, { tasks: 12 });
    const asked = counters.flatMap((counter) => Array.from({ length: 8 }, () => counter.count('local', id, 'tasks')));
    const results = await Promise.allSettled(asked);
    const codes = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as ApiError).code] : []));
    assert.deepEqual([results.length - codes.length, new Set(codes)], [12, new Set(['exchange_limit'])]);
    // Another one, as after a restart, knows what was counted.
    const again = new Exchanges(brokers[1] ?? assert.fail(), none, silent);
    await assert.rejects(again.count('local', id, 'tasks'), { code: 'exchange_limit' });
    for (const broker of brokers) await broker.close();
  });
});
