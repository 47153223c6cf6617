import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { AgentsOver } from '../fixtures/agents.js';
import { TOKEN } from '../fixtures/api.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const KSI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

describe('managed agents', () => {
  let lab: WorkerLab;
  let apis: ApiOn[];
  let here: AgentsOver;
  let there: AgentsOver;
  before(async () => {
    lab = await WorkerLab.start({}, { sync: '1s' });
    const env = { KSI_MAX_PROMPT_CHARS: '5000' };
    apis = [await startApiOn(lab.server.url, env), await startApiOn(lab.server.url, env)];
    const [first, second] = apis;
    here = new AgentsOver(() => first?.url ?? '');
    there = new AgentsOver(() => second?.url ?? '');
    await lab.worker();
    await here.register({ agent_id: 'ann' });
  });
  after(async () => {
    for (const api of apis) await api.stop();
    await lab.stop();
  });

  /** What came to an external agent, once there are so many; all of it is taken. */
  const received = async (id: string, count: number): Promise<InboxMessage[]> => {
    const found: InboxMessage[] = [];
    while (found.length < count) {
      const messages = await there.inbox(id, '?wait=30');
      assert.ok(messages.length > 0, `${found.length} of ${count} have come`);
      found.push(...messages);
      await here.ack(id, messages.at(-1)?.seq ?? 0);
    }
    return found;
  };

  it('answer the sender in the same conversation with a task of their session', async () => {
    const { session_id: session } = await here.register({ agent_id: 'bob', kind: 'managed', role: 'critic' });
    const sent = await there.send({ from: 'ann', to: 'bob', content: 'good morning', conversation_id: 'c' });
    assert.equal(sent.status, 'delivered');
    const [answer] = await received('ann', 1);
    assert.match(
      answer?.content ?? '',
      /^You said: \[Message from ann, DIRECT_MESSAGE, conversation c\]\n\ngood morning/,
    );
    assert.deepEqual(
      [answer?.from, answer?.to, answer?.conversation_id, answer?.reply_to, answer?.hops],
      ['bob', 'ann', 'c', sent.message_id, 1],
    );
    const queued = await lab.event('SPAWN_QUEUED', answer?.task_id ?? '');
    const { agent_id, session_id, message } = dataOf('SPAWN_QUEUED', queued);
    assert.deepEqual([agent_id, session_id, message?.message_id], ['bob', session, sent.message_id]);
    const complete = await lab.outcome(answer?.task_id ?? '');
    assert.equal(dataOf('SPAWN_COMPLETE', complete).agent_id, 'bob');
    const task = (await there.ask('GET', `/tasks/${answer?.task_id}`)).body;
    assert.deepEqual([task['agent_id'], (task['message'] as { from: string }).from], ['bob', 'ann']);
    assert.equal((await here.one('bob')).unread, 0);
  });

  it('answer their owner with an event, and get the text of a person unchanged', async () => {
    await here.register({ agent_id: 'carl', kind: 'managed' });
    const sent = await here.send({ to: 'carl', content: 'hello' });
    const answer = await lab.until(() =>
      lab.seen.find(
        ({ subject, event }) =>
          subject.startsWith('ksi.events.agent._.') && dataOf('AGENT_MESSAGE', event).reply_to === sent.message_id,
      ),
    );
    assert.equal(answer.subject, 'ksi.events.agent._.message.DIRECT_MESSAGE');
    assert.equal(dataOf('AGENT_MESSAGE', answer.event).content, 'You said: hello');
  });

  it('process messages in order, one task each, at two APIs, and answer in that order', async () => {
    await here.register({ agent_id: 'dora', kind: 'managed' });
    const sent: string[] = [];
    for (let n = 0; n < 12; n++)
      sent.push((await (n % 2 === 0 ? here : there).send({ from: 'ann', to: 'dora', content: `${n}` })).message_id);
    const answers = await received('ann', 12);
    assert.deepEqual(
      answers.map(({ reply_to: to }) => to),
      sent,
    );
    assert.equal(new Set(answers.map(({ task_id: id }) => id)).size, 12);
  });

  it('that are paused process none until they are active again', async () => {
    await here.register({ agent_id: 'eve', kind: 'managed' });
    await there.update('eve', { status: 'paused' });
    const sent = [];
    for (const content of ['one', 'two']) sent.push(await here.send({ from: 'ann', to: 'eve', content }));
    assert.deepEqual(
      sent.map(({ status }) => status),
      ['queued', 'queued'],
    );
    // What came later is answered.
    await here.send({ from: 'ann', to: 'bob', content: 'later' });
    assert.equal((await received('ann', 1))[0]?.from, 'bob');
    assert.equal((await here.one('eve')).unread, 2);
    await there.update('eve', { status: 'active' });
    assert.deepEqual(
      (await received('ann', 2)).map(({ reply_to: to }) => to),
      sent.map(({ message_id: id }) => id),
    );
  });

  it('obey control signals that they send and receive', async () => {
    for (const agent_id of ['fay', 'gil']) await here.register({ agent_id, kind: 'managed' });
    await here.send({ from: 'ann', to: 'fay', content: '[[signal:NO_RESPONSE]]' });
    await here.send({ from: 'ann', to: 'fay', content: '[[signal:END]]' });
    const [last] = await received('ann', 1);
    assert.deepEqual([last?.content, last?.signal], ['So be it.', 'end']);
    await lab.until(() => lab.seen.find(({ subject }) => subject === 'ksi.events.agent.fay.terminated'));
    assert.equal((await there.one('fay')).status, 'ended');
    assert.equal((await here.send({ from: 'ann', to: 'fay', content: 'still there?' })).status, 'queued');
    await here.send({ from: 'ann', to: 'gil', content: 'it is over [TERMINATE]' });
    await lab.until(() => lab.seen.find(({ subject }) => subject === 'ksi.events.agent.gil.terminated'));
    assert.equal((await here.one('gil')).status, 'ended');
    assert.match((await here.one('gil')).ended_by ?? '', /^[0-9a-f-]{36}$/);
    assert.deepEqual(await here.inbox('ann'), []);
    await there.register({ agent_id: 'fay' });
    assert.match((await received('ann', 1))[0]?.content ?? '', /still there\?$/);
  });

  it('report that a task failed or could not be created', async () => {
    const failed = await here.send({ from: 'ann', to: 'bob', content: '[[error:400]]' });
    const long = await here.send({ from: 'ann', to: 'bob', content: 'x'.repeat(6_000) });
    const fine = await here.send({ from: 'ann', to: 'bob', content: 'fine' });
    const answers = await received('ann', 3);
    const of = (id: string): InboxMessage | undefined => answers.find(({ reply_to: to }) => to === id);
    assert.equal(of(failed.message_id)?.error?.code, 'claude_invalid_request');
    assert.equal(of(long.message_id)?.error?.code, 'invalid_request');
    assert.equal(of(fine.message_id)?.error, undefined);
    const receipts = lab.seen.filter(({ subject }) => subject === 'ksi.events.agent.bob.delivered');
    const refused = receipts
      .map(({ event }) => dataOf('AGENT_DELIVERED', event))
      .find((data) => data.refused !== undefined);
    assert.deepEqual([refused?.message_ids, refused?.refused], [[long.message_id], 'invalid_request']);
  });

  it('do nothing more for a revoked token, whose limits no longer exist', async () => {
    await here.register({ agent_id: 'rex', kind: 'managed' });
    const made = await here.ask('POST', '/tokens', { scopes: ['agents', 'read'], concurrency: 1 });
    const holder = new AgentsOver(() => apis[0]?.url ?? '', String(made.body['token']));
    await holder.send({ from: 'ann', to: 'rex', content: 'still let in' });
    assert.equal((await received('ann', 1))[0]?.error, undefined);
    await there.update('rex', { status: 'paused' });
    await holder.send({ from: 'ann', to: 'rex', content: 'too late' });
    assert.equal((await there.ask('DELETE', `/tokens/${String(made.body['token_id'])}`)).status, 204);
    await there.update('rex', { status: 'active' });
    assert.equal((await received('ann', 1))[0]?.error?.code, 'unauthorized');
    assert.equal((await here.one('rex')).unread, 0);
  });

  it('talk to each other, each message under the name of its sender', async () => {
    await here.register({ agent_id: 'hal', kind: 'managed', subscriptions: ['BROADCAST'] });
    await here.register({ agent_id: 'monitor', subscriptions: ['DIRECT_MESSAGE'] });
    const { copies } = await here.send({ from: 'ann', type: 'BROADCAST', content: 'to all' });
    assert.deepEqual(copies, ['hal']);
    const [answer] = await received('ann', 1);
    assert.equal(answer?.from, 'hal');
    const [copy] = await received('monitor', 1);
    assert.deepEqual([copy?.message_id, copy?.agent_id, copy?.to], [answer?.message_id, 'monitor', 'ann']);
  });

  it('have answers that ksi send --wait prints', async () => {
    const child = spawn(process.execPath, [KSI, 'send', 'bob', 'good', 'day', '--wait', '60'], {
      env: { ...process.env, KSI_URL: apis[0]?.url, KSI_TOKEN: TOKEN },
    });
    const [[code], out] = await Promise.all([once(child, 'close'), text(child.stdout)]);
    assert.deepEqual([code, out], [0, 'You said: good day\n']);
  });

  it('answer again if their task is run again', async () => {
    const sent = await here.send({ from: 'ann', to: 'bob', content: '[[error:400]]' });
    const [first] = await received('ann', 1);
    const again = await there.ask('POST', `/tasks/${first?.task_id}/retry`);
    assert.equal(again.status, 202, JSON.stringify(again.body));
    const [second] = await received('ann', 1);
    assert.deepEqual([second?.task_id, second?.reply_to], [again.body['task_id'], sent.message_id]);
  });
});
