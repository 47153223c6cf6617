import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ApprovalRule } from '../../contracts/tasks/approval-rules.js';
import { Terminal } from '../fixtures/terminal.js';
import { AGAIN, FakeApi, OTHER, problemOf, SESSION, TASK } from './cli-fake-api.js';

const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

describe('ksi', () => {
  let api: FakeApi;
  before(async () => {
    api = await FakeApi.start();
  });
  after(() => api.stop());
  beforeEach(() => api.reset());

  const start = (args: readonly string[], env: Record<string, string> = {}): ChildProcess =>
    spawn(process.execPath, [MAIN, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, KSI_URL: api.url, KSI_TOKEN: 'good', ...env },
    });
  const finish = async (child: ChildProcess): Promise<Ran> => {
    const { stdout, stderr } = child;
    assert.ok(stdout !== null && stderr !== null);
    const [[code], out, err] = await Promise.all([once(child, 'close'), text(stdout), text(stderr)]);
    return { code: code as number | null, out, err };
  };
  const ksi = (args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Ran> => {
    const child = start(args, env);
    child.stdin?.end(input);
    return finish(child);
  };

  it('spawn prints the answer once from deltas and complete messages, and tools separately', async () => {
    api.plays = [
      api.event('SPAWN_START', { attempt: 1, n: 1 }),
      api.delta('Hel', 0),
      api.assistant({ type: 'text', text: 'Hello' }),
      api.assistant({ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }),
      api.assistant({ type: 'text', text: 'Done.' }),
      api.event('SPAWN_COMPLETE', { output: { result: 'Done.' } }),
    ];
    const { code, out, err } = await ksi([
      'spawn',
      'Say',
      'hello',
      '--session',
      'notes',
      '--allowed-tools',
      'Bash,Read',
    ]);
    assert.equal(out, 'Hello\n\nDone.\n');
    assert.equal(err, '→ Bash ls\n');
    assert.equal(code, 0);
    assert.deepEqual(api.spawned, { prompt: 'Say hello', session_id: 'notes', allowed_tools: ['Bash', 'Read'] });
    assert.deepEqual(api.subscribed.subjects, [`ksi.events.task.${TASK}.>`, `ksi.live.task.${TASK}`]);
    assert.equal(api.subscribed.since, 'i-0');
  });

  it('spawn continues after a broken connection', async () => {
    api.plays = [
      api.event('SPAWN_START', { attempt: 1, n: 1 }),
      api.delta('Hel', 0),
      'break',
      api.delta('lo', 3),
      api.assistant({ type: 'text', text: 'Hello' }),
      api.event('SPAWN_COMPLETE', { output: { result: 'Hello' } }),
    ];
    assert.deepEqual(await ksi(['spawn', 'hi']), { code: 0, out: 'Hello\n', err: '' });
    assert.equal(api.subscribed.since, 'i-1');
  });

  it('spawn prints the result when no message had text', async () => {
    api.plays = [api.event('SPAWN_COMPLETE', { output: { result: '42' } })];
    assert.equal((await ksi(['spawn', 'hi'])).out, '42\n');
  });

  it('spawn reads the prompt from a pipe unchanged', async () => {
    api.plays = [api.event('SPAWN_COMPLETE', { output: { result: '' } })];
    await ksi(['spawn'], '-p is\n\u{1f600}\n');
    assert.deepEqual(api.spawned, { prompt: '-p is\n\u{1f600}\n' });
    await ksi(['spawn', 'Review:', '-'], 'diff\n');
    assert.deepEqual(api.spawned, { prompt: 'Review: \n\ndiff' });
    await ksi(['spawn', '-'], '  as it is\n');
    assert.deepEqual(api.spawned, { prompt: '  as it is\n' });
    assert.equal((await ksi(['spawn'], '')).code, 2);
  });

  it('spawn exits with the code of the outcome and prints the error', async () => {
    api.plays = [api.event('SPAWN_ERROR', { error: { code: 'claude_crashed', message: 'It died.', retryable: true } })];
    assert.deepEqual(await ksi(['spawn', 'hi']), { code: 5, out: '', err: 'task failed (claude_crashed): It died.\n' });
    api.plays = [api.event('SPAWN_CANCELLED', { reason: 'requested' })];
    assert.equal((await ksi(['spawn', 'hi'])).code, 3);
  });

  it('spawn -o json prints the finished task even if the read model is behind', async () => {
    api.plays = [api.event('SPAWN_COMPLETE', { n: 3, output: { result: 'x' } })];
    const task = JSON.parse((await ksi(['-o', 'json', 'spawn', 'hi'])).out) as Record<string, unknown>;
    assert.equal(task['status'], 'completed');
    assert.deepEqual(task['output'], { result: 'x' });
    assert.equal(task['n'], undefined);
  });

  it('spawn --no-wait prints the id', async () => {
    assert.equal((await ksi(['spawn', '--no-wait', 'hi'])).out, `${TASK}\n`);
  });

  it('spawn stops waiting after --wait or Ctrl-C, and explains how to follow and cancel the task', async () => {
    const timedOut = await ksi(['spawn', '--wait', '2', 'hi']);
    assert.equal(timedOut.code, 124);
    assert.match(timedOut.err, new RegExp(`ksi logs -f ${TASK}`));
    const child = start(['spawn', 'hi']);
    const ran = finish(child);
    await api.nextSubscription();
    child.kill('SIGINT');
    const { code, err } = await ran;
    assert.equal(code, 130);
    assert.match(err, new RegExp(`the task continues.*ksi logs -f ${TASK}\n.*ksi cancel ${TASK}\n$`));
  });

  it('spawn says that the task continues if it cannot be followed', async () => {
    api.refuses = 'cursor_gone';
    const { code, err } = await ksi(['spawn', 'hi']);
    assert.equal(code, 2);
    assert.match(err, new RegExp(`error \\(cursor_gone\\): .*\nthe task continues.*ksi logs -f ${TASK}\n`));
  });

  it('spawn does not wait for an outcome that may be deleted', async () => {
    api.plays = [{ op: 'gap', from: 1, to: 2 }];
    const { code, err } = await ksi(['spawn', 'hi']);
    assert.equal(code, 1);
    assert.match(err, new RegExp(`ksi task ${TASK}`));
  });

  it('logs shows all events of a task, however many there are', async () => {
    api.plays = Array.from({ length: 2_500 }, () => api.event('SPAWN_MESSAGE', { attempt: 1, message: {} }));
    assert.equal((await ksi(['logs', TASK])).out.trimEnd().split('\n').length, 2_500);
  });

  it('spawn sends the options of the task', async () => {
    const policy = ['--max-attempts', '1', '--timeout', '60', '--queue-timeout', '5', '--idle-timeout', '9'];
    await ksi(['spawn', '--no-wait', ...policy, '--retry-on', 'claude_crashed,internal', 'hi']);
    assert.deepEqual(api.spawned, {
      prompt: 'hi',
      max_attempts: 1,
      timeout_s: 60,
      queue_timeout_s: 5,
      idle_timeout_s: 9,
      retry_on: ['claude_crashed', 'internal'],
    });
    assert.equal((await ksi(['spawn', '--timeout', '1.5', 'hi'])).code, 2);
  });

  it('spawn repeats an unanswered request with the same key', async () => {
    api.faults = ['lost', problemOf('broker_unavailable', 'It is away')];
    const { code, err } = await ksi(['spawn', '--no-wait', 'hi']);
    assert.equal(code, 0);
    assert.match(err, /^KSI does not answer.*trying again\n$/);
    assert.equal(api.keys.length, 3);
    assert.equal(new Set(api.keys).size, 1);
    await ksi(['spawn', '--no-wait', '--idempotency-key', 'mine', 'hi']);
    assert.notEqual(api.keys[0], undefined);
    assert.equal(api.keys.at(-1), 'mine');
  });

  it('cancel ends tasks, and continues after a task that it cannot cancel', async () => {
    const { code, out, err } = await ksi(['cancel', OTHER, TASK]);
    assert.equal(out, `${TASK}  cancelled\n`);
    assert.equal(code, 1);
    assert.match(err, /not_found/);
    assert.deepEqual(api.requests, [`POST /tasks/${OTHER}/cancel`, `POST /tasks/${TASK}/cancel`]);
    const [task] = JSON.parse((await ksi(['cancel', TASK, '-o', 'json'])).out) as { status: string }[];
    assert.equal(task?.status, 'cancelled');
  });

  it('interrupt explains how to see the outcome', async () => {
    const { code, out, err } = await ksi(['interrupt', TASK]);
    assert.deepEqual([code, out], [0, '']);
    assert.match(err, new RegExp(`ksi logs -f ${TASK}`));
    assert.deepEqual(api.requests, [`POST /tasks/${TASK}/interrupt`]);
  });

  it('retry prints the id of the new task, or with --wait its answer', async () => {
    assert.deepEqual(await ksi(['retry', TASK]), { code: 0, out: `${AGAIN}\n`, err: '' });
    api.plays = [api.event('SPAWN_COMPLETE', { output: { result: '42' } })];
    assert.deepEqual(await ksi(['retry', TASK, '--wait']), { code: 0, out: '42\n', err: '' });
    assert.deepEqual(api.subscribed.subjects[0], `ksi.events.task.${AGAIN}.>`);
  });

  it('dead lists dead letters and shows one', async () => {
    const { out, err } = await ksi(['dead', '--queue', 'default', '--limit', '1']);
    assert.match(out, /^TASK +QUEUE +OWNER +GIVEN UP +BECAUSE +ERROR\n/);
    assert.match(out, new RegExp(`${TASK} +default +local +0s ago +attempts_exhausted +claude_crashed: It`));
    assert.match(err, /--limit 5/);
    assert.equal(api.asked, '/dead?queue=default&limit=1');
    assert.equal((JSON.parse((await ksi(['dead', 'list', '-o', 'json'])).out) as unknown[]).length, 1);
    const shown = await ksi(['dead', 'show', TASK]);
    assert.match(
      shown.out,
      /error +claude_crashed: It died\.\n[^]*"prompt": "Say hello"[^]*SPAWN_START attempt 1 on w\n$/,
    );
    assert.match(shown.err, new RegExp(`ksi dead retry ${TASK}`));
  });

  it('dead retry retries the named dead letters, or all that match', async () => {
    const { code, out, err } = await ksi(['dead', 'retry', TASK, AGAIN]);
    assert.deepEqual([code, out], [1, `${TASK}  ${AGAIN}\n`]);
    assert.match(err, /no dead letter of task.*ksi dead/);
    const all = await ksi(['dead', 'retry', '--all', '--owner', 'local', '-o', 'jsonl']);
    assert.equal(all.code, 1);
    assert.deepEqual(JSON.parse(all.out), { retry_of: TASK, task_id: AGAIN });
    assert.match(all.err, new RegExp(`${OTHER} \\(queue_full\\): The queue is full`));
    for (const args of [[], ['--queue', 'default'], [TASK, '--all']])
      assert.equal((await ksi(['dead', 'retry', ...args])).code, 2, args.join(' '));
  });

  it('dead delete deletes the named dead letters, and needs --yes for --all without a terminal', async () => {
    const refused = await ksi(['dead', 'delete', '--all']);
    assert.deepEqual([refused.code, api.requests], [2, []]);
    assert.match(refused.err, /--yes/);
    assert.deepEqual(await ksi(['dead', 'delete', TASK]), { code: 0, out: `${TASK}\n`, err: '' });
    api.reset();
    assert.equal((await ksi(['dead', 'delete', '--all', '--yes'])).out, `${TASK}\n${OTHER}\n`);
    assert.equal(api.dead.size, 0);
    assert.match((await ksi(['dead', 'delete', '--all', '--yes'])).err, /No matching/);
  });

  it('delete deletes the named tasks and sessions, and continues after one that it cannot delete', async () => {
    const { code, out, err } = await ksi(['delete', 'task', OTHER, TASK]);
    assert.deepEqual([code, out], [1, `${TASK}\n`]);
    assert.match(err, /not_found/);
    assert.deepEqual(api.requests, [`DELETE /tasks/${OTHER}`, `DELETE /tasks/${TASK}`]);
    const session = await ksi(['delete', 'session', 'notes', '-o', 'jsonl']);
    assert.deepEqual([session.code, JSON.parse(session.out)], [0, { session_id: 'notes' }]);
  });

  it('delete tasks prints how many match, asks for confirmation, and shows its progress', async () => {
    const refused = await ksi(['delete', 'tasks', '--status', 'failed']);
    assert.deepEqual([refused.code, api.requests], [2, []]);
    assert.equal((await ksi(['delete', 'tasks', '--status', 'failed', '--dry-run'])).err, '3 tasks match.\n');
    api.requests = [];
    let release: () => void = () => undefined;
    api.lastPage = new Promise((resolve) => (release = resolve));
    const terminal = await Terminal.start({ KSI_URL: api.url, KSI_TOKEN: 'good' });
    try {
      await terminal.enter('ksi delete tasks --status failed');
      await terminal.until(/Delete 3 tasks for good\?/);
      await terminal.enter('y');
      await terminal.until(/2 of 3 tasks deleted \d+s$/);
      release();
      assert.doesNotMatch(await terminal.until(/3 tasks deleted\.\n\$$/), /of 3/);
    } finally {
      release();
      await terminal.stop();
    }
    const page = 'DELETE /tasks?status=failed&limit=100';
    assert.deepEqual(api.requests.slice(1), [page, `${page}&cursor=more`]);
  });

  it('delete owner needs --yes without a terminal', async () => {
    const refused = await ksi(['delete', 'owner', 'ann']);
    assert.deepEqual([refused.code, api.requests], [2, []]);
    assert.match(refused.err, /of ann: give --yes/);
    assert.deepEqual(await ksi(['delete', 'owner', 'ann', '--yes']), { code: 0, out: 'ann\n', err: '' });
    assert.deepEqual(api.requests, ['DELETE /owners/ann']);
  });

  it('tasks prints a table or JSON', async () => {
    const { out } = await ksi(['tasks', '--status', 'queued', '--session', 'notes', '--limit', '3']);
    assert.match(out, /^TASK +STATUS +SESSION +CREATED +PROMPT\n/);
    assert.match(out, new RegExp(`${TASK} +queued +…${SESSION.slice(-8)} .* Say hello`));
    assert.ok(out.split('\n').every((line) => line.length <= 120));
    assert.equal(api.asked, '/tasks?limit=3&status=queued&session_id=notes');
    assert.equal((JSON.parse((await ksi(['tasks', '-o', 'json'])).out) as unknown[]).length, 1);
  });

  it('task shows a task', async () => {
    assert.match((await ksi(['task', TASK])).out, /status +queued/);
    const { code, err } = await ksi(['task', SESSION]);
    assert.equal(code, 1);
    assert.match(err, /not_found/);
  });

  it('logs prints a line with the type for each event, and follows to the outcome', async () => {
    api.plays = [
      api.event('SPAWN_START', { attempt: 1, n: 1, worker_id: 'w' }),
      api.assistant({ type: 'text', text: 'two\nlines\u001b[31m' }),
      api.event('SPAWN_COMPLETE', { output: { result: 'x' } }),
    ];
    for (const args of [
      ['logs', TASK],
      ['logs', '-f', TASK],
    ]) {
      const lines = (await ksi(args)).out.trimEnd().split('\n');
      assert.equal(lines.length, 3);
      assert.match(lines[0] ?? '', /SPAWN_START/);
      assert.match(lines[1] ?? '', /SPAWN_MESSAGE +assistant two lines \[31m$/);
      assert.match(lines[2] ?? '', /SPAWN_COMPLETE +x$/);
    }
  });

  it('events prints JSON lines until it is stopped', async () => {
    api.plays = [api.event('SPAWN_START', { attempt: 1, n: 1 }), api.event('SPAWN_COMPLETE', {})];
    const child = start(['events', '--subject', 'ksi.events.task.*.state.*', '--since', 'i-0']);
    const ran = finish(child);
    const seen: string[] = [];
    child.stdout?.on('data', (chunk: Buffer) => {
      seen.push(chunk.toString());
      if (seen.join('').includes('SPAWN_COMPLETE')) child.kill('SIGINT');
    });
    const { code, out } = await ran;
    assert.equal(code, 0);
    const lines = out.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { type: string }).type),
      ['SPAWN_START', 'SPAWN_COMPLETE'],
    );
    assert.deepEqual(api.subscribed.subjects, ['ksi.events.task.*.state.*']);
  });

  it('exits quietly when its reader closes the pipe', async () => {
    api.plays = Array.from({ length: 3_000 }, () => api.event('SPAWN_START', { attempt: 1, n: 1 }));
    const child = start(['events', '--since', 'i-0']);
    child.stdout?.once('data', () => child.stdout?.destroy());
    assert.ok(child.stderr !== null);
    const [[code], err] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
    assert.equal(code, 0);
    assert.equal(err, '');
  });

  it('prints the error and the next step', async () => {
    const cases: [string[], number, RegExp, Record<string, string>?][] = [
      [['taks'], 2, /Did you mean.*tasks/],
      [['tasks', '--limit', 'x'], 2, /whole number/],
      [['tasks', '-o', 'xml'], 2, /Allowed choices are text, json, jsonl, none/],
      [['tasks'], 4, /unauthorized/, { KSI_TOKEN: 'bad' }],
      [['spawn', 'hi'], 1, /ksi up/, { KSI_URL: 'http://127.0.0.1:1' }],
    ];
    for (const [args, code, says, env] of cases) {
      const ran = await ksi(args, '', env);
      assert.equal(ran.code, code, args.join(' '));
      assert.match(ran.err, says);
      assert.equal(ran.out, '');
    }
  });

  it('writes no data with -o none, and no messages with --quiet', async () => {
    api.plays = [
      api.event('SPAWN_START', { attempt: 1, n: 1 }),
      api.assistant({ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }),
      api.event('SPAWN_COMPLETE', { output: { result: '42' } }),
    ];
    assert.deepEqual(await ksi(['spawn', '-o', 'none', '--quiet', 'hi']), { code: 0, out: '', err: '' });
    assert.deepEqual(await ksi(['spawn', '--quiet', 'hi']), { code: 0, out: '42\n', err: '' });
    assert.deepEqual(await ksi(['tasks', '-o', 'none']), { code: 0, out: '', err: '' });
    assert.deepEqual(await ksi(['interrupt', '--quiet', TASK]), { code: 0, out: '', err: '' });
  });

  it('spawn appends the piped text to the words, and reads nothing with --no-input', async () => {
    await ksi(['spawn', '--no-wait', 'Review', 'this'], 'a diff\n');
    assert.deepEqual(api.spawned, { prompt: 'Review this\n\na diff' });
    await ksi(['spawn', '--no-wait', 'Review'], '');
    assert.deepEqual(api.spawned, { prompt: 'Review' });
    await ksi(['spawn', '--no-wait', '--no-input', 'Review'], 'a diff\n');
    assert.deepEqual(api.spawned, { prompt: 'Review' });
    await ksi(['spawn', '--no-wait', 'mail bob@package.json about @types/node'], '');
    assert.deepEqual(api.spawned, { prompt: 'mail bob@package.json about @types/node' });
  });

  it('shows ages, and with --utc times', async () => {
    assert.match((await ksi(['tasks'])).out, /\d+[sm] ago/);
    assert.match((await ksi(['tasks', '--utc'])).out, / \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ /);
    api.plays = [api.event('SPAWN_START', { attempt: 1, n: 1, worker_id: 'w' })];
    assert.match((await ksi(['logs', TASK])).out, /^\+0\.000s +SPAWN_START/);
    assert.match((await ksi(['logs', '--utc', TASK])).out, /^\d{4}-\d\d-\d\dT\S+Z +SPAWN_START/);
  });

  it('wait exits with the outcome of the tasks, or when its time is up', async () => {
    api.plays = [api.event('SPAWN_COMPLETE', { output: { result: 'x' } })];
    assert.deepEqual(await ksi(['wait', TASK]), { code: 0, out: `${TASK}  completed\n`, err: '' });
    api.plays = [api.event('SPAWN_ERROR', { error: { code: 'claude_crashed', message: 'It died.', retryable: true } })];
    const failed = await ksi(['wait', TASK, '-o', 'json']);
    assert.equal(failed.code, 5);
    assert.equal((JSON.parse(failed.out) as { status: string }[])[0]?.status, 'failed');
    api.plays = [api.event('SPAWN_CANCELLED', { reason: 'requested' })];
    assert.equal((await ksi(['wait', TASK])).code, 3);
    const unknown = await ksi(['wait', OTHER, TASK]);
    assert.deepEqual([unknown.code, unknown.out], [1, `${TASK}  cancelled (requested)\n`]);
    api.plays = [];
    const late = await ksi(['wait', '--timeout', '0.3', TASK]);
    assert.deepEqual([late.code, late.out], [124, '']);
    assert.match(late.err, /the wait timed out; the tasks continue/);
  });

  it('tasks --watch appends changes when piped', async () => {
    const child = start(['tasks', '--watch', '-o', 'jsonl']);
    const ran = finish(child);
    const status = (): Promise<unknown> => once(child.stdout ?? child, 'data');
    await status();
    await api.subscriptions(1);
    api.task = { status: 'running' };
    const next = status();
    api.tell(api.event('SPAWN_START', { attempt: 1, n: 1 }));
    await next;
    child.kill('SIGINT');
    const { code, out } = await ran;
    assert.equal(code, 0);
    const seen = out
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { status: string }).status);
    assert.deepEqual(seen, ['queued', 'running']);
  });

  it('tasks --watch as text prints one line per task, however many lines a prompt has', async () => {
    api.task = { prompt_preview: 'Review this\n\n+++ b/made\u001B[2J' };
    const child = start(['tasks', '--watch']);
    const ran = finish(child);
    await api.subscriptions(1);
    child.kill('SIGINT');
    const { code, out } = await ran;
    assert.equal(code, 0);
    assert.match(out, /^TASK {2}[^\n]*\n\S+ {2}queued {2}[^\n]* {2}Review this \+\+\+ b\/made \[2J\n$/);
  });

  it('config prints the settings, their sources and faults, and no secrets', async () => {
    const env = { KSI_NATS_URL: 'nats://ann:hunter2@h:4222', KSI_CONCURENCY: '3', KSI_PORT: 'x' };
    const { code, out, err } = await ksi(['config'], '', env);
    assert.equal(code, 2);
    assert.match(out, /API +http:\/\/127\.0\.0\.1:\d+ +KSI_URL\n/);
    assert.match(out, /KSI_NATS_URL +environment +nats:\/\/\*\*\*@h:4222\n/);
    assert.match(out, /KSI_LEASE_S +default +15\n/);
    assert.match(err, /KSI_PORT="x": .*\n +KSI_CONCURENCY is unknown\. Did you mean KSI_CONCURRENCY\?/);
    assert.doesNotMatch(out + err + (await ksi(['config', '-o', 'json'], '', env)).out, /hunter2|good/);
    const { connection } = JSON.parse((await ksi(['config', '-o', 'json'])).out) as { connection: unknown };
    assert.deepEqual(connection, {
      url: { value: api.url, from: 'KSI_URL' },
      token: { from: 'KSI_TOKEN' },
      folder: null,
    });
  });

  it('approvals lists rules and revokes them', async () => {
    assert.match((await ksi(['approvals', 'rules'])).err, /No approval rules/);
    const rule: ApprovalRule = {
      rule_id: AGAIN,
      owner: 'local',
      scope: 'session',
      session_id: SESSION,
      rule: 'Bash(git log:*)',
      approval_id: `${TASK}.1.1`,
      by: 'ann',
      token_id: 'local',
      created_at: new Date().toISOString(),
    };
    api.rules = [rule];
    const { out } = await ksi(['approvals', 'rules']);
    assert.match(
      out,
      new RegExp(`^RULE +FOR +ALLOWS +CREATED +BY\n${AGAIN} +session ${SESSION} +Bash\\(git log:\\*\\) .* ann\n$`),
    );
    assert.deepEqual(JSON.parse((await ksi(['approvals', 'rules', '-o', 'json'])).out), [rule]);
    const revoked = await ksi(['approvals', 'revoke', AGAIN, OTHER]);
    assert.equal(revoked.code, 1);
    assert.equal(revoked.out, `${AGAIN}  revoked\n`);
    assert.match(revoked.err, /not_found/);
    assert.deepEqual(api.rules, []);
  });

  it('approvals allow --always creates a rule, or explains why not', async () => {
    const id = `${TASK}.1.1`;
    api.ruled = { rule_id: AGAIN };
    const made = await ksi(['approvals', 'allow', id, '--always', 'session', '--rule', 'Bash(git log:*)']);
    assert.deepEqual(made, { code: 0, out: `${id}  allow  ${AGAIN}\n`, err: '' });
    assert.deepEqual(api.approved, { decision: 'allow', always: { scope: 'session', rule: 'Bash(git log:*)' } });
    api.ruled = { rule_error: { code: 'too_many', message: 'ann has 1000 of these' } };
    const none = await ksi(['approvals', 'allow', id, '--always', 'owner']);
    assert.equal(none.out, `${id}  allow  no rule was created (too_many): ann has 1000 of these\n`);
    assert.deepEqual(api.approved, { decision: 'allow', always: { scope: 'owner' } });
    assert.equal((await ksi(['approvals', 'allow', id, '--always', 'everyone'])).code, 2);
    const alone = await ksi(['approvals', 'allow', id, '--rule', 'Bash']);
    assert.deepEqual(alone, { code: 2, out: '', err: 'error: --rule needs --always\n' });
  });

  it('chat needs a terminal, and names the alternative', async () => {
    const { code, err } = await ksi(['chat']);
    assert.equal(code, 2);
    assert.match(err, /ksi spawn --session/);
  });

  it('has a help text with exit codes and examples', async () => {
    const { code, out } = await ksi(['--help']);
    assert.equal(code, 0);
    assert.match(out, /124 +the wait timed out/);
    assert.match((await ksi(['help', 'dead', 'retry'])).out, /Examples:\n  \$ ksi dead retry ID/);
  });
});
