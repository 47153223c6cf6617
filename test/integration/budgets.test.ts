import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import type { Worker } from '../../workers/worker.js';
import { endLostAttempt } from '../../workers/journal/lost-attempt.js';
import { systemClock } from '../../src/clock.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastState } from '../../src/broker/task-states.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { findContainment } from '../../workers/claude/containment.js';
import type { ExchangeView } from '../../contracts/access/exchanges.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
const json = { 'content-type': 'application/json' };

describe('budgets, with the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: ApiLab;
  let messages: MessagesStandin;
  let folder: string;
  let worker: Worker;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ksi-budgets-'));
    const file = join(folder, 'budgets.json');
    const budgets = { session_usd: 0.001, owner_usd_per_day: 1000, owners: { ann: { usd_per_day: 0.001 } } };
    await writeFile(file, JSON.stringify(budgets));
    messages = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '' });
    api = await ApiLab.start({ KSI_BUDGETS: file }, { ...lab.server, stop: () => Promise.resolve() });
    const env = { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    ({ worker } = await lab.worker({ env, containment }));
  });
  after(async () => {
    await api.stop();
    await lab.stop();
    await messages.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const READ = '[[tool:Read {"file_path":"/none"}]]';
  /** Until the read model has its cost. */
  const known = async (id: string): Promise<void> => {
    while ((await api.task(id)).ended_at === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it('stop work at what is left of them', async () => {
    const { task_id: id } = await api.spawn({ prompt: `${READ}${READ}${READ} dear`, session_id: 'dear' });
    const { error } = dataOf('SPAWN_ERROR', await lab.outcome(id));
    assert.equal(error.code, 'claude_max_budget');
    await known(id);
  });

  it('refuse more in a session that has spent its own', async () => {
    const refused = await api.post({ prompt: 'x', session_id: 'dear' });
    assert.deepEqual([refused.status, refused.body['code']], [429, 'budget_exceeded']);
    assert.match(String(refused.body['detail']), /budget of \$0.001 for the session .* is used up/);
    assert.equal((await api.post({ prompt: 'x', session_id: 'other' })).status, 202);
  });

  it('stop what waits when what ran before it has spent them, before Claude is started for it', async () => {
    const ask = (prompt: string) => api.spawn({ prompt, session_id: 'crowded' });
    const first = await ask(`${READ}${READ}${READ} dear`);
    const waiting = [await ask('second [[hang]]'), await ask('third'), await ask('fourth')];
    dataOf('SPAWN_ERROR', await lab.outcome(first.task_id));
    for (const { task_id: id } of waiting) {
      assert.equal(dataOf('SPAWN_CANCELLED', await lab.outcome(id)).reason, 'budget_exceeded');
      await known(id);
      const { reason, usage } = await api.task(id);
      assert.deepEqual([reason, usage], ['budget_exceeded', undefined]);
    }
  });

  it('of an exchange of agents bound its tasks, and its cost so far is shown', async () => {
    const here = new AgentsOver(() => api.url);
    await here.register({ agent_id: 'spender', kind: 'managed' });
    const exchange_limits = { budget_usd: 0.0008 };
    const sent = await here.send({ to: 'spender', content: `${READ}${READ}${READ} dear`, exchange_limits });
    const { task_id: id } = await lab.until(() =>
      lab.seen
        .map(({ event }) => event.data as { agent_id?: string; task_id?: string; seq?: number })
        .find(({ agent_id, task_id, seq }) => agent_id === 'spender' && task_id !== undefined && seq !== undefined),
    );
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(id ?? '')).error.code, 'claude_max_budget');
    await known(id ?? '');
    const { body } = await here.ask('GET', `/exchanges/${sent.message_id}`);
    const { tasks, limits, usage } = body as unknown as ExchangeView;
    assert.deepEqual([tasks, limits.budget_usd], [1, 0.0008]);
    assert.ok(usage.cost_usd >= 0.0008, `$${usage.cost_usd}`);
    const retry = await here.ask('POST', `/tasks/${id}/retry`);
    assert.deepEqual([retry.status, retry.body['code']], [429, 'budget_exceeded']);
    assert.match(String(retry.body['detail']), /budget of \$0.0008 for the exchange .* is used up/);
  });

  it('refuse an owner who has spent the day’s, until the next one', async () => {
    const made = await api.request('/tokens', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ owner: 'ann', scopes: ['spawn', 'read'] }),
    });
    const headers = { authorization: `Bearer ${String(made.body['token'])}`, ...json };
    const ask = (): Promise<Answer> =>
      api.request('/spawn', { method: 'POST', headers, body: JSON.stringify({ prompt: 'x' }) });
    const first = await ask();
    assert.equal(first.status, 202);
    const id = String(first.body['task_id']);
    await lab.outcome(id);
    await known(id);
    let second = await ask();
    // A sum is a second old at the most.
    for (const end = Date.now() + 10_000; second.status === 202 && Date.now() < end; second = await ask())
      await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual([second.status, second.body['code']], [429, 'budget_exceeded']);
    const wait = Number(second.headers.get('retry-after'));
    assert.ok(wait > 0 && wait <= 86_400);
  });

  it('are spent by what an attempt had used when its worker died', async () => {
    await worker.stop();
    const { broker } = lab;
    const { task_id: id, session_id } = await api.spawn({ prompt: 'x', session_id: 'lost' });
    const identity = { task_id: id, session_id, owner: 'local' };
    const attempt = { ...identity, attempt: 1 };
    const run = { seq: 1, delivery: 1 };
    const start = { ...attempt, n: 1, worker_id: 'w_dead', host: 'h', transcript_seq: 0, run };
    let last = await lastState(broker, id);
    while (last.seq === 0) last = await lastState(broker, id);
    await broker.publisher.publish(
      eventPublication(newEvent(systemClock, 'SPAWN_START', start), SUBJECT.taskState(id, 'start')),
    );
    const { seq: startSeq } = await lastState(broker, id);
    const usage = { cost_usd: 0.002, input_tokens: 9, output_tokens: 400, cache_read_tokens: 0, cache_write_tokens: 0, turns: 0 }; // prettier-ignore
    const message = { ...attempt, n: 2, message: { type: 'assistant' }, usage };
    await broker.publisher.publish(
      eventPublication(newEvent(systemClock, 'SPAWN_MESSAGE', message), SUBJECT.taskOutput(id)),
    );
    const { signal } = new AbortController();
    await endLostAttempt(broker, { identity, attempt: 1, startSeq }, 'worker_lost', 'w_next', signal);
    await lab.until(() => lab.of(id).find(({ type }) => type === 'SPAWN_RETRY'));
    while ((await api.task(id)).usage === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual((await api.task(id)).usage, { ...usage, estimated: true });
    const refused = await api.post({ prompt: 'y', session_id: 'lost' });
    assert.deepEqual([refused.status, refused.body['code']], [429, 'budget_exceeded']);
  });
});
