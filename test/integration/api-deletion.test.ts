import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { NO_USAGE, type Usage } from '../../contracts/access/usage.js';
import type { SpawnAccepted } from '../../contracts/tasks/spawn.js';
import type { Task } from '../../contracts/tasks/task.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import type { Publication } from '../../src/broker/publish.js';
import { purge } from '../../src/broker/purge.js';
import { deleteMessage, hasAny, lastBySubject, sourceOf, streamPosition } from '../../src/broker/read.js';
import { readStream } from '../../src/broker/replay.js';
import { SessionDeletion } from '../../src/retention/deletion/session-deletion.js';
import { systemClock } from '../../src/clock.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { storeEndedTasks } from '../fixtures/ended-tasks.js';
import { leftoversAt } from '../fixtures/leftovers.js';

describe('deletion at an API', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    here = new AgentsOver(() => lab.url, TOKEN);
  });
  after(() => lab.stop());

  /** Tasks that have ended, as a worker leaves them. */
  const ended = async (count: number, body: object = {}): Promise<SpawnAccepted[]> => {
    const tasks: SpawnAccepted[] = [];
    for (let n = 0; n < count; n++) {
      const task = await lab.spawn({ prompt: `${n}`, ...body });
      // SPAWN_QUEUED is not awaited by the API.
      while ((await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(task.task_id))) === undefined);
      await lab.finish(task);
      const run = await lastBySubject(lab.broker, STREAM.commands, SUBJECT.sessionRuns(task.session_id));
      await deleteMessage(lab.broker, STREAM.commands, run?.seq ?? 0);
      tasks.push(task);
    }
    for (const { task_id: id } of tasks) while ((await lab.task(id)).status !== 'completed');
    return tasks;
  };
  const consumers = async (): Promise<number> => {
    let count = 0;
    for await (const { state } of lab.broker.jsm.streams.list()) count += state.consumer_count;
    return count;
  };
  const subjectCounts = async (broker: Broker, stream: string): Promise<Record<string, number>> =>
    (await broker.jsm.streams.info(stream, { subjects_filter: '>' })).state.subjects ?? {};
  const untilSome = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
    }
  };
  const removed = async (path: string): Promise<Said> => {
    const reply = await here.ask('DELETE', path);
    assert.ok(reply.status < 300, `${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply;
  };

  /** Another API may be quicker. */
  const removedOrGone = async (path: string, api: ApiLab): Promise<void> => {
    const { status, body } = await api.request(path, { method: 'DELETE' });
    assert.ok(status < 300 || status === 404, `${path}: ${status} ${JSON.stringify(body)}`);
  };

  it('leaves no consumer at the broker, for any deletion', async () => {
    const large = 'x'.repeat(1_100_000);
    const tasks = await storeEndedTasks(lab.broker, 180);
    const letters = await storeEndedTasks(lab.broker, 20, { dead: true });
    const sessions = await storeEndedTasks(lab.broker, 20);
    const [big] = await ended(1, { prompt: large });
    for (let n = 0; n < 20; n++) {
      await here.register({ agent_id: `agent-${n}` });
      await here.send({ to: `agent-${n}`, content: n === 0 ? large : 'hello' });
    }
    const talks: string[] = [];
    for (let n = 0; n < 5; n++) {
      const { body, status } = await here.ask('POST', '/conversations', { topic: 'x', mode: 'debate', agents: 2 });
      assert.equal(status, 201, JSON.stringify(body));
      talks.push(String(body['conversation_id']));
    }
    const before = await consumers();
    const [discarded, ...given] = letters;
    await removed(`/dead/${discarded?.task_id}`);
    for (const { task_id: id } of [...tasks, ...given, ...(big === undefined ? [] : [big])])
      await removed(`/tasks/${id}`);
    for (const { session_id: id } of sessions) await removed(`/sessions/${id}`);
    for (const id of talks) await removed(`/conversations/${id}`);
    for (let n = 0; n < 20; n++) await removed(`/agents/agent-${n}`);
    await storeEndedTasks(lab.broker, 250);
    await removed('/tasks?owner=local&limit=200');
    await ended(3);
    await removed('/owners/local');
    assert.equal(await consumers(), before);
    assert.deepEqual((await here.ask('GET', '/tasks')).body['items'], []);
    assert.deepEqual((await here.ask('GET', '/dead')).body['items'], []);
    for (const stream of [STREAM.dead, STREAM.ended, STREAM.outcomes, STREAM.transcripts])
      assert.equal((await streamPosition(lab.broker, stream)).messages, 0, stream);
  });

  it('by filter deletes the matching ended tasks page by page, and keeps open ones', async () => {
    const cancelled = await lab.spawn({ prompt: 'cancelled', queue: 'default' });
    assert.equal((await here.ask('POST', `/tasks/${cancelled.task_id}/cancel`)).status, 200);
    const done = await ended(5);
    const open = await lab.spawn({ prompt: 'open' });
    const middle = (await lab.task(done[2]?.task_id ?? '')).ended_at ?? '';
    const total = async (query: string): Promise<number> => {
      let deleted = 0;
      let cursor: string | undefined;
      do {
        const more = cursor === undefined ? '' : `&cursor=${cursor}`;
        const { body } = await removed(`/tasks?limit=2&${query}${more}`);
        deleted += Number(body['deleted']);
        cursor = body['next_cursor'] as string | undefined;
      } while (cursor !== undefined);
      return deleted;
    };
    for (const query of ['', '?limit=5', '?status=running', '?ended_before=soon'])
      assert.equal((await here.ask('DELETE', `/tasks${query}`)).status, 400, query);
    assert.equal(await total('status=cancelled&owner=nobody'), 0);
    assert.equal(await total(`ended_before=${middle}&status=completed&dry_run=true`), 2);
    assert.equal(await total(`ended_before=${middle}&status=completed`), 2);
    assert.equal(await total('owner=local&dry_run=true'), 4);
    assert.equal(await total('owner=local'), 4);
    assert.equal((await here.ask('GET', `/sessions/${cancelled.session_id}`)).status, 404);
    const { items: tasks } = (await here.ask('GET', '/tasks')).body as { items: { task_id: string }[] };
    assert.deepEqual(
      tasks.map(({ task_id: id }) => id),
      [open.task_id],
    );
  });

  it('of a session that accepts a task in the meantime keeps the output of that task, and the session', async () => {
    const { broker } = lab;
    const sessionId = uuidv4();
    const transcript = SUBJECT.transcript(sessionId);
    const write = (text: string): Promise<unknown> =>
      broker.publisher.publish({ subject: transcript, payload: JSON.stringify({ v: 1, entries: [{ text }] }) });
    await write('of an ended task');
    let requestCount = 0;
    // As if another API took a task in, and it ran, just before the transcript is purged.
    const ask: Broker['publisher']['ask'] = async (api, ...rest) => {
      if (api === `STREAM.PURGE.${STREAM.transcripts}` && requestCount++ === 0) {
        await lab.spawn({ prompt: 'x', session_id: sessionId });
        await write('of the new task');
      }
      return broker.publisher.ask(api, ...rest);
    };
    const publisher = new Proxy(broker.publisher, {
      get: (target, name) => {
        const value: unknown = name === 'ask' ? ask : Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const notCalled = (): Promise<never> => Promise.reject(new Error('the session is deleted'));
    const remover = new SessionDeletion({
      broker: { ...broker, publisher },
      blobs: new Blobs(broker),
      records: { among: () => Promise.resolve(new Set<string>()), find: notCalled, remove: notCalled },
      names: { release: notCalled },
      approvalRules: { removeOfSessions: notCalled },
    });
    const { refused } = await remover.remove([{ sessionId, owner: 'local', name: 'its name' }], 'local');
    assert.deepEqual(
      refused.map(({ error }) => error.code),
      ['not_ended'],
    );
    assert.equal(requestCount, 2);
    const left: string[] = [];
    for await (const { data } of readStream(broker, STREAM.transcripts, transcript, 0, Number.MAX_SAFE_INTEGER))
      left.push(Buffer.from(data).toString());
    assert.deepEqual(left, ['{"v":1,"entries":[{"text":"of the new task"}]}']);
    assert.equal(await hasAny(broker, STREAM.events, SUBJECT.sessionDeleted(sessionId)), false);
  });

  it('refuses an invalid date: a leap second, or a date with a suffix', async () => {
    for (const date of ['2016-12-31T23:59:60Z', '2026-01-01T00:00:00Z[Europe/Paris]']) {
      const { status, body } = await here.ask('DELETE', `/tasks?ended_before=${encodeURIComponent(date)}`);
      assert.deepEqual([status, body['code']], [400, 'invalid_request'], date);
    }
  });

  it("of an agent's task includes its message, its answer and all copies, however late they arrived", async () => {
    const canary = 'nightjar5c1d';
    const type = 'DIRECT_MESSAGE';
    await here.register({ agent_id: 'ann' });
    await here.register({ agent_id: 'carl', subscriptions: [type] });
    await here.register({ agent_id: 'bob', kind: 'managed' });
    const { message_id: requestCount } = await here.send({ from: 'ann', to: 'bob', content: `${canary} asks` });
    const task = await untilSome(async () => {
      const { items: tasks } = (await here.ask('GET', '/tasks')).body as { items: Task[] };
      return tasks.find(({ agent_id: agent }) => agent === 'bob');
    });
    await here.ask('POST', `/tasks/${task.task_id}/cancel`);
    // As an answer looks that an API sent late, when much else had come, and whose first copy was refused.
    const fillers = Array.from({ length: 250 }, (_, n) => n);
    const mail = (kind: 'message' | 'copy', to: string, more: object): Publication => {
      const data = { message_id: uuidv7(), type, owner: 'local', from: 'bob', to, agent_id: to, hops: 1, ...more };
      const event = newEvent(systemClock, kind === 'copy' ? 'AGENT_COPY' : 'AGENT_MESSAGE', data);
      return eventPublication(event, kind === 'copy' ? SUBJECT.agentCopy(to, type) : SUBJECT.agentMessage(to, type));
    };
    const answer = { message_id: uuidv7(), task_id: task.task_id, content: `${canary} answers` };
    const repeated = { message_id: requestCount, from: 'ann', content: `${canary} asks again` };
    const { publisher } = lab.broker;
    await publisher.publishBatch(fillers.map((n) => mail('message', 'ann', { content: `${n}` })));
    const { seq: expired } = await publisher.publish(mail('message', 'ann', answer));
    await publisher.publishBatch(fillers.map((n) => mail('copy', 'carl', { content: `${n}` })));
    await publisher.publish(mail('copy', 'carl', answer));
    const { seq: last } = await publisher.publish(mail('message', 'bob', repeated));
    while (sourceOf(await lastBySubject(lab.broker, STREAM.messages, SUBJECT.messagesAll)) < last);
    // KSI_EVENTS keeps what it has for a shorter time.
    await purge(lab.broker, STREAM.events, SUBJECT.agentMail('*'), expired);
    await removed(`/tasks/${task.task_id}`);
    assert.deepEqual((await leftoversAt(lab.broker, canary)).found, []);
    const mine = await subjectCounts(lab.broker, STREAM.messages);
    assert.deepEqual([mine[SUBJECT.messageStored(type, 'ann')], mine[SUBJECT.messageStored(type, 'carl')]], [250, 250]);
  });

  it('does not reduce the cost of a day, a session or an exchange, even if the read model is rebuilt', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ksi-spent-'));
    const file = join(folder, 'budgets.json');
    const budgets = { owners: { local: { usd_per_day: 2 } }, session_usd: 1 };
    await writeFile(file, JSON.stringify(budgets));
    const other = await ApiLab.start({ KSI_BUDGETS: file }, { ...lab.server, stop: () => Promise.resolve() });
    try {
      const usage = { ...NO_USAGE, cost_usd: 0.5 };
      const [session, exchange] = [uuidv7(), uuidv7()];
      const tasks = await storeEndedTasks(lab.broker, 3, { usage, session_id: session, exchange_id: exchange });
      const last = tasks.at(-1)?.task_id ?? '';
      const cost = async (): Promise<number> => {
        const { body, status } = await other.request(`/exchanges/${exchange}`);
        return status === 200 ? (body['usage'] as Usage).cost_usd : 0;
      };
      while ((await cost()) < 1.5);
      const refusal = async (body: object): Promise<unknown[]> => {
        const { status, body: reply } = await other.post({ prompt: 'x', ...body });
        return [status, reply['code'], / for (.*) is used up/.exec(String(reply['detail']))?.[1]];
      };
      const ofSession = [429, 'budget_exceeded', `the session ${session}`];
      assert.deepEqual(await refusal({ session_id: session }), ofSession);
      // By two APIs at once: it is counted once.
      const deleting = tasks
        .slice(0, 2)
        .flatMap(({ task_id: id }) => [removedOrGone(`/tasks/${id}`, other), removedOrGone(`/tasks/${id}`, lab)]);
      await Promise.all(deleting);
      assert.equal(((await other.request(`/tasks?session_id=${session}`)).body['items'] as []).length, 1);
      assert.deepEqual([await refusal({ session_id: session }), await cost()], [ofSession, 1.5]);
      const [dear] = await storeEndedTasks(lab.broker, 1, { usage });
      while ((await other.task(dear?.task_id ?? '')).status !== 'completed');
      await removedOrGone(`/tasks/${dear?.task_id}`, other);
      const ofDay = [429, 'budget_exceeded', 'local per day'];
      // What was looked up is known for a second.
      await untilSome(async () => ((await refusal({}))[0] === 429 ? true : undefined));
      assert.deepEqual(await refusal({}), ofDay);
      await other.stopApi();
      await rm(other.readModel, { recursive: true });
      await other.startApi();
      assert.equal((await other.task(last)).status, 'completed');
      assert.deepEqual([await refusal({}), await cost()], [ofDay, 1.5]);
    } finally {
      await other.stop();
      await rm(folder, { recursive: true });
    }
  });
});
