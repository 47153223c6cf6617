import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Session, SessionExport, SessionPage, TranscriptEntry } from '../../contracts/sessions/sessions.js';
import type { UsagePage } from '../../contracts/access/usage.js';
import { SessionRecords } from '../../src/sessions/records.js';
import { Transcripts } from '../../src/sessions/transcripts.js';
import { lastBySubject } from '../../src/broker/read.js';
import { Blobs } from '../../src/broker/blobs.js';
import { directRun } from '../../src/broker/session-queue.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
const json = { 'content-type': 'application/json' };

describe('sessions with the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: ApiLab;
  let messages: MessagesStandin;
  let site: string;
  let first: Awaited<ReturnType<WorkerLab['worker']>>;
  before(async () => {
    messages = await startMessagesStandin({ deltaMs: 1 });
    site = await realpath(await mkdtemp(join(tmpdir(), 'ksi-site-')));
    const workspaces = { KSI_WORKSPACES: `site=${site}` };
    lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', ...workspaces });
    api = await ApiLab.start(workspaces, { ...lab.server, stop: () => Promise.resolve() });
    first = await lab.worker({
      env: { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' },
      containment,
    });
  });
  after(async () => {
    await api.stop();
    await lab.stop();
    await messages.stop();
    await rm(site, { recursive: true, force: true });
  });

  /** Until the API has seen the outcome too. */
  const outcome = async (id: string): ReturnType<typeof lab.outcome> => {
    const event = await lab.outcome(id);
    while ((await api.task(id)).ended_at === undefined) await sleep(10);
    return event;
  };
  const run = async (body: object): Promise<{ id: string; cost: number; total: number }> => {
    const { task_id: id } = await api.spawn(body);
    const { output, usage } = dataOf('SPAWN_COMPLETE', await outcome(id));
    return { id, cost: usage?.cost_usd ?? -1, total: Number(output?.['total_cost_usd']) };
  };
  const get = async <T>(path: string): Promise<T> => (await api.request(path)).body as T;
  const put = (body: object): Promise<Answer> =>
    api.request('/sessions/import', { method: 'POST', headers: json, body: JSON.stringify(body) });

  it('cost what their tasks cost, nothing counted twice', async () => {
    const first = await run({ prompt: 'the word is KUMQUAT', session_id: 'notes' });
    const second = await run({ prompt: 'what was the word? [[chars:3000]]', session_id: 'notes' });
    assert.ok(first.cost > 0 && second.cost > first.cost);
    assert.ok(Math.abs(second.total - (first.cost + second.cost)) < 1e-9, "Claude's own figure is the session's");
    const session = await get<Session>('/sessions/notes');
    assert.deepEqual([session.tasks, session.open, session.session_name, session.usage.turns], [2, 0, 'notes', 2]);
    assert.ok(Math.abs(session.usage.cost_usd - second.total) < 1e-9);
    const { items: sessions } = await get<{ items: Session[] }>('/sessions');
    assert.deepEqual(sessions, [session]);
    const usage = await get<UsagePage>('/usage?by=session');
    assert.deepEqual(
      usage.items.map(({ key, tasks }) => [key, tasks]),
      [[session.session_id, 2]],
    );
    assert.ok(Math.abs(usage.total.cost_usd - second.total) < 1e-9);
  });

  describe('cost what Claude did for them, however that ended:', () => {
    const costly = '[[chars:20000]] [[tool:Bash {"command":"python3 -c \\"import time; time.sleep(60)\\""}]] on';
    const begin = async (session_id: string, more: object = {}): Promise<string> => {
      const { task_id: id } = await api.spawn({ prompt: costly, session_id, allowed_tools: ['Bash'], ...more });
      return id;
    };
    const lastRequest = (id: string): Promise<unknown> =>
      lab.until(() => lab.of(id).find((event) => JSON.stringify(event.data).includes('"tool_use"')));
    /** The tasks' costs are the session's, and what the next one has Claude count from. */
    const holds = async (session_id: string, ids: readonly string[]): Promise<void> => {
      const tasks = await Promise.all(ids.map((id) => api.task(id)));
      assert.ok(tasks.every(({ usage }) => (usage?.output_tokens ?? 0) > 0));
      const before = tasks.map(({ usage }) => usage?.cost_usd ?? 0);
      assert.ok(before.every((cost) => cost > 0));
      const last = await run({ prompt: 'and now?', session_id });
      const sum = before.reduce((sofar, cost) => sofar + cost, last.cost);
      // Claude was killed before its own figures came: then they are estimated, and its next ones may or may not include them.
      if (tasks.some(({ usage }) => usage?.estimated === true))
        assert.ok(
          last.total > last.cost - 1e-9 && last.total < sum + 1e-9,
          `${last.total} is not within ${last.cost} and ${sum}`,
        );
      else assert.ok(Math.abs(sum - last.total) < 1e-9, `${sum} is not ${last.total}`);
      assert.ok(Math.abs((await get<Session>(`/sessions/${session_id}`)).usage.cost_usd - sum) < 1e-9);
    };

    it('past its time', async () => {
      // Claude must have had its first answer by then, however slow the machine is.
      for (let seconds = 4; ; seconds *= 2) {
        const session = `late-${seconds}`;
        const id = await begin(session, { timeout_s: seconds, max_attempts: 1 });
        assert.equal(dataOf('SPAWN_ERROR', await outcome(id)).error.code, 'claude_timeout');
        if (lab.of(id).some((event) => JSON.stringify(event.data).includes('"tool_use"'))) return holds(session, [id]);
        assert.ok(seconds < 64, 'Claude had no answer in a minute');
      }
    });

    it('cancelled', async () => {
      const id = await begin('cancelled');
      await lastRequest(id);
      const answer = await api.request(`/tasks/${id}/cancel`, { method: 'POST' });
      assert.deepEqual([answer.status, answer.body['status']], [200, 'cancelled']);
      await outcome(id);
      await holds('cancelled', [id]);
    });
  });

  it('can be read, as lines and as Markdown', async () => {
    const authorization = `Bearer ${TOKEN}`;
    const answer = await fetch(`${api.url}/sessions/notes/transcript`, { headers: { authorization } });
    assert.equal(answer.headers.get('content-type'), 'application/x-ndjson');
    const types = (await answer.text())
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type);
    assert.ok(types.includes('user') && types.includes('assistant'));
    const { text } = await get<{ text: string }>('/sessions/notes/transcript?format=markdown');
    assert.match(text, /^# notes/);
    assert.match(text, /## User.*\n\nthe word is KUMQUAT/);
  });

  it('are brought elsewhere, and go on there', async () => {
    const exported = await get<SessionExport>('/sessions/notes/export');
    const clash = await put(exported);
    assert.deepEqual([clash.status, clash.body['code']], [409, 'session_exists']);
    const made = await put({ ...exported, session_id: 'copy' });
    assert.equal(made.status, 201);
    assert.equal((await get<Session>('/sessions/copy')).tasks, 0);
    assert.equal((await put({ ...exported, session_id: 'copy' })).status, 409);
    const { task_id: id } = await api.spawn({ prompt: 'ELSEWHERE', session_id: 'copy', resume_only: true });
    dataOf('SPAWN_COMPLETE', await outcome(id));
    const lastRequest = messages.requests.findLast(
      ({ conversation }) => conversation?.prompts.at(-1)?.includes('ELSEWHERE') === true,
    );
    assert.match(JSON.stringify(lastRequest?.body), /KUMQUAT/);
    assert.equal((await api.request('/sessions/copy', { method: 'DELETE' })).status, 204);
    assert.equal((await api.request('/sessions/copy')).status, 404);
    assert.equal((await put({ ...exported, session_id: 'copy' })).status, 201, 'it may come again');
  });

  it('that are imported at once by two are the first one’s, and bring no costs', async () => {
    const id = '0197c1de-0000-7000-8000-00000000beef';
    const line = (uuid: string): object => ({ type: 'user', uuid, message: { role: 'user', content: uuid } });
    const exported = {
      format: 'ksi-session',
      v: 1,
      session_id: id,
      entries: [line('a'), { type: 'cost-state', totalCostUSD: 1e17 }],
    };
    const owners = ['ann', 'bob'];
    const tokens = await Promise.all(
      owners.map(async (owner) => {
        const body = JSON.stringify({ owner, scopes: ['spawn', 'read'] });
        return (await api.request('/tokens', { method: 'POST', headers: json, body })).body['token'];
      }),
    );
    const as = (n: number): Record<string, string> => ({ authorization: `Bearer ${String(tokens[n])}`, ...json });
    const answers = await Promise.all(
      owners.map((_owner, n) =>
        api.request('/sessions/import', { method: 'POST', headers: as(n), body: JSON.stringify(exported) }),
      ),
    );
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [201, 409],
    );
    const winner = answers.findIndex(({ status }) => status === 201);
    assert.equal(answers[winner]?.body['entries'], 1);
    assert.equal((await get<Session>(`/sessions/${id}`)).owner, owners[winner]);
    const kept = await api.request(`/sessions/${id}/export`, { headers: as(winner) });
    assert.deepEqual(kept.body['entries'], [line('a')]);
  });

  it('that were imported are listed, page by page, after those with tasks', async () => {
    // A record that is not JSON, and one that is no record, are left out.
    for (const [n, payload] of ['{', 'null'].entries()) {
      const subject = SUBJECT.sessionRecord(`0197c1de-0000-7000-8000-00000000bad${n}`);
      await lab.broker.publisher.publish({ subject, payload });
    }
    const line = { type: 'user', uuid: 'a' };
    const ids: string[] = [];
    for (let n = 1; n <= 3; n++) {
      const made = await put({ format: 'ksi-session', v: 1, session_id: `listed-${n}`, entries: [line] });
      ids.push(String(made.body['session_id']));
    }
    const listed: Session[] = [];
    let cursor: string | undefined;
    do {
      const query = cursor === undefined ? '' : `&cursor=${cursor}`;
      const page = await get<SessionPage>(`/sessions?limit=2${query}`);
      assert.ok(page.items.length <= 2);
      listed.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    const all = listed.map(({ session_id: id }) => id);
    assert.equal(new Set(all).size, all.length);
    assert.ok(ids.every((id) => all.includes(id)));
    const tasks = listed.map((each) => Math.min(1, each.tasks));
    assert.deepEqual(
      tasks,
      tasks.toSorted((a, b) => b - a),
    );
    for (const id of ids) assert.equal((await api.request(`/sessions/${id}`, { method: 'DELETE' })).status, 204);
    assert.equal((await api.request('/sessions?cursor=dGFza2xlc3M6Lg')).status, 400);
  });

  it('are imported whole or not at all, and an import that was broken off can be made again', async () => {
    const line = (uuid: string, text = uuid): TranscriptEntry => ({ type: 'user', uuid, message: { content: text } });
    const entries = ['a', 'b', 'c'].map((uuid) => line(uuid, uuid.repeat(400_000)));
    const subagents = { 'subagents/agent-1': [line('d')] };
    const id = '0197c1de-0000-7000-8000-00000000cafe';
    const transcripts = new Transcripts(lab.broker, new Blobs(lab.broker));
    const store = (): Promise<void> => transcripts.store({ session_id: id, owner: 'local' }, { entries, subagents });
    // Somebody's task was quicker.
    await transcripts.store({ session_id: id, owner: 'bob' }, { entries: [line('first')], subagents: {} });
    await assert.rejects(store(), { kind: 'conflict' });
    assert.deepEqual(await transcripts.whole(id), { entries: [line('first')], subagents: {} });
    await lab.broker.jsm.streams.purge(STREAM.transcripts, { filter: SUBJECT.transcript(id) });
    // The API died when it had only said whose it is.
    const created_at = new Date().toISOString();
    await new SessionRecords(lab.broker, pino({ level: 'silent' })).claim({
      v: 1,
      session_id: id,
      owner: 'local',
      created_at,
    });
    const exported = { format: 'ksi-session', v: 1, session_id: id, entries, subagents };
    assert.equal((await put(exported)).status, 201);
    assert.deepEqual((await get<SessionExport>(`/sessions/${id}/export`)).entries, entries);
    assert.equal((await put(exported)).status, 409);
    assert.equal((await api.request(`/sessions/${id}`, { method: 'DELETE' })).status, 204);
  });

  it('are not deleted while a task stands in them, though it is another API that took it in', async () => {
    const { task_id: id, session_id: sessionId } = await api.spawn({ prompt: 'x', session_id: 'busy' });
    await outcome(id);
    while ((await lastBySubject(lab.broker, STREAM.commands, SUBJECT.session(sessionId))) !== undefined)
      await sleep(10);
    const unheard = { taskId: randomUUID(), sessionId, queue: 'nobody', payload: '{}', headers: {} };
    const ack = await lab.broker.publisher.publish(directRun(unheard, 'normal'));
    const refused = await api.request('/sessions/busy', { method: 'DELETE' });
    assert.deepEqual([refused.status, refused.body['code']], [409, 'not_ended']);
    assert.match(JSON.stringify((await api.request('/sessions/busy/export')).body), /"x"/);
    await lab.broker.jsm.streams.deleteMessage(STREAM.commands, ack.seq);
    assert.equal((await api.request('/sessions/busy', { method: 'DELETE' })).status, 204);
  });

  it('go with their owner, also when they have no task', async () => {
    const made = await api.request('/tokens', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ owner: 'zoe', scopes: ['spawn'] }),
    });
    const headers = { authorization: `Bearer ${String(made.body['token'])}`, ...json };
    const body = JSON.stringify({ format: 'ksi-session', v: 1, entries: [{ type: 'user', uuid: 'z' }] });
    const imported = await api.request('/sessions/import', { method: 'POST', headers, body });
    const path = `/sessions/${String(imported.body['session_id'])}`;
    assert.equal((await api.request(path)).status, 200);
    assert.equal((await api.request('/owners/zoe', { method: 'DELETE' })).status, 204);
    assert.equal((await api.request(path)).status, 404);
    assert.equal((await api.request('/sessions/copy')).status, 200, 'of another one');
  });

  it('of another owner are as unknown as none, imported ones too', async () => {
    const token = (
      await api.request('/tokens', {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ owner: 'eve', scopes: ['spawn', 'read'] }),
      })
    ).body['token'];
    const headers = { authorization: `Bearer ${String(token)}`, ...json };
    const { session_id: id } = await get<Session>('/sessions/notes');
    const { session_id: imported } = await get<Session>('/sessions/copy');
    for (const each of [id, imported]) {
      for (const path of ['', '/transcript', '/export'])
        assert.equal((await api.request(`/sessions/${each}${path}`, { headers })).status, 404, path);
      for (const more of [{}, { fork: true }]) {
        const body = JSON.stringify({ prompt: 'x', session_id: each, ...more });
        assert.equal((await api.request('/spawn', { method: 'POST', headers, body })).status, 404);
      }
    }
    assert.deepEqual((await api.request('/sessions', { headers })).body, { items: [] });
    assert.deepEqual(((await api.request('/usage', { headers })).body as UsagePage).items, []);
  });

  it('stay their owner’s when one of their tasks is deleted', async () => {
    await run({ prompt: 'the word is QUINCE', session_id: 'kept' });
    const { id } = await run({ prompt: 'go on', session_id: 'kept' });
    const { session_id: session } = await get<Session>('/sessions/kept');
    assert.equal((await api.request(`/tasks/${id}`, { method: 'DELETE' })).status, 204);
    const left = await get<Session>(`/sessions/${session}`);
    assert.deepEqual([left.tasks, left.owner], [1, 'local'], 'what was said is still there');
    assert.match(JSON.stringify((await api.request('/sessions/kept/export')).body), /QUINCE/);
    const made = await api.request('/tokens', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ owner: 'mallory', scopes: ['spawn', 'read'] }),
    });
    const headers = { authorization: `Bearer ${String(made.body['token'])}` };
    for (const more of [{}, { fork: true }]) {
      const body = JSON.stringify({ prompt: 'what was the word?', session_id: session, ...more });
      const init = { method: 'POST', headers: { ...headers, ...json }, body };
      assert.equal((await api.request('/spawn', init)).status, 404);
    }
    assert.equal((await api.request(`/sessions/${session}`, { method: 'DELETE', headers })).status, 404);
    await run({ prompt: 'what was the word?', session_id: 'kept', resume_only: true });
  });

  it('run one at a time, in the order asked for, and each knows the one before', async () => {
    const ids: string[] = [];
    for (let n = 1; n <= 10; n++) ids.push((await api.spawn({ prompt: `ORDER-${n}`, session_id: 'queue' })).task_id);
    await Promise.all(ids.map((id) => outcome(id)));
    const seqs = ids.map((id) =>
      ['SPAWN_START', 'SPAWN_COMPLETE'].map(
        (type) => lab.seen.find(({ subject, event }) => subject.includes(id) && event.type === type)?.seq ?? 0,
      ),
    );
    assert.deepEqual(
      seqs.flat(),
      seqs.flat().toSorted((a, b) => a - b),
      'each starts after the end of the one before',
    );
    const last = messages.requests.findLast(
      ({ conversation }) => conversation?.prompts.at(-1)?.includes('ORDER-10') === true,
    );
    const prompts = last?.conversation?.prompts ?? [];
    assert.deepEqual(
      prompts,
      ids.map((_id, n) => `ORDER-${n + 1}`),
    );
  });

  it('keep what subagents said, and go on with it on another worker', async () => {
    const agent = { description: 'look', prompt: 'SUB-PROMPT', subagent_type: 'general-purpose' };
    const { task_id: id, session_id: session } = await api.spawn({
      prompt: `[[tool:Task ${JSON.stringify(agent)}]] MAIN`,
      session_id: 'with-subagent',
    });
    dataOf('SPAWN_COMPLETE', await outcome(id));
    const exported = await get<SessionExport>('/sessions/with-subagent/export');
    assert.match(JSON.stringify(exported.subagents ?? {}), /SUB-PROMPT/);
    const elsewhere = await lab.worker({
      env: { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' },
      containment,
      config: { KSI_DIR: `${lab.dir}/elsewhere` },
    });
    await first.worker.stop();
    const next = await api.spawn({ prompt: 'GO-ON', session_id: session });
    dataOf('SPAWN_COMPLETE', await outcome(next.task_id));
    const { worker_id: worker } = await api.task(next.task_id);
    assert.equal(worker, elsewhere.worker.id);
    const lastRequest = messages.requests.findLast(
      ({ conversation }) => conversation?.prompts.at(-1)?.includes('GO-ON') === true,
    );
    assert.match(JSON.stringify(lastRequest?.body), /MAIN/);
    const later = await get<SessionExport>('/sessions/with-subagent/export');
    assert.match(JSON.stringify(later.subagents ?? {}), /SUB-PROMPT/);
    first = elsewhere;
  });

  it('fork in the workspace of their origin', async () => {
    const { task_id: origin } = await api.spawn({ prompt: 'x', session_id: 'on-site', workspace: 'site' });
    dataOf('SPAWN_COMPLETE', await outcome(origin));
    const { task_id: id, session_id: fork } = await api.spawn({ prompt: 'y', session_id: 'on-site', fork: true });
    dataOf('SPAWN_COMPLETE', await outcome(id));
    assert.match(JSON.stringify(lab.of(id)), new RegExp(`"cwd":"${site}"`));
    assert.equal((await get<Session>(`/sessions/${fork}`)).workspace, 'site');
  });

  it('fork over HTTP, and tasks are found by their metadata', async () => {
    const { task_id: id, session_id: fork } = await api.spawn({
      prompt: 'FORKED',
      session_id: 'notes',
      fork: true,
      metadata: { ticket: '4711', 'a.b': 'ä:x' },
    });
    const { usage } = dataOf('SPAWN_COMPLETE', await outcome(id));
    assert.ok((usage?.cost_usd ?? 0) < 0.02, 'what the origin took is not its own');
    const { session_id: origin } = await get<Session>('/sessions/notes');
    assert.deepEqual((await get<Session>(`/sessions/${fork}`)).fork_of, origin);
    for (const query of ['ticket:4711', 'a.b:ä:x']) {
      const { body } = await api.request(`/tasks?metadata=${encodeURIComponent(query)}`);
      assert.deepEqual(
        (body['items'] as { task_id: string }[]).map((task) => task.task_id),
        [id],
      );
    }
    assert.deepEqual((await api.request('/tasks?metadata=ticket:1')).body, { items: [] });
  });
});
