import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scope } from '../../contracts/access/tokens.js';
import type { Approval } from '../../contracts/tasks/approvals.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { lastBySubject } from '../../src/broker/read.js';
import { ApprovalRules } from '../../src/tasks/approvals/rules.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import { auditEntries } from '../fixtures/audit-entries.js';
import { silent } from '../fixtures/connection.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
/** Each test's own worker serves one, and so is the only one that takes its task. */
const QUEUES = { KSI_QUEUES: 'default,doomed' };
const json = { 'content-type': 'application/json' };

describe('steering the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let one: ApiLab;
  let other: ApiLab;
  let messages: MessagesStandin;
  const env = (): Record<string, string> => ({
    ANTHROPIC_BASE_URL: messages.url,
    ANTHROPIC_API_KEY: 'sk-ant-test-0123456789',
  });
  before(async () => {
    messages = await startMessagesStandin({
      deltaMs: 1,
      // Claude tells the model alone where its plan is to be written.
      script: ({ prompts }, body) => {
        const [, file] = /create your plan at (\S+?\.md)/.exec(JSON.stringify(body)) ?? [];
        return file === undefined ? undefined : prompts.at(-1)?.replaceAll('PLAN-FILE', file);
      },
    });
    lab = await WorkerLab.start({
      KSI_CLAUDE_BIN: CLAUDE_REAL ?? '',
      KSI_LEASE_S: '3',
      KSI_CONCURRENCY: '4',
      ...QUEUES,
    });
    await lab.worker({ env: env(), containment, config: { KSI_QUEUES: 'default' } });
    // The broker is the lab's to stop.
    const shared = { ...lab.server, stop: () => Promise.resolve() };
    one = await ApiLab.start(QUEUES, shared);
    other = await ApiLab.start(QUEUES, shared);
  });
  after(async () => {
    await Promise.all([one.stop(), other.stop()]);
    await lab.stop();
    await messages.stop();
  });

  const pendingApproval = (taskId: string, nth = 1): Promise<Approval> =>
    lab.until(() => {
      const all = lab.of(taskId).filter((event) => event.type === 'APPROVAL_REQUESTED');
      return all[nth - 1]?.data as Approval | undefined;
    });
  const answer = (api: ApiLab, id: string, body: object): Promise<Answer> =>
    api.request(`/approvals/${id}`, { method: 'POST', headers: json, body: JSON.stringify(body) });
  const resolved = (taskId: string): Record<string, unknown>[] =>
    lab
      .of(taskId)
      .filter(({ type }) => type === 'APPROVAL_RESOLVED')
      .map(({ data }) => data as unknown as Record<string, unknown>);
  const told = (taskId: string): string =>
    JSON.stringify(
      lab
        .of(taskId)
        .filter((event): event is StoredEvent<'SPAWN_MESSAGE'> => event.type === 'SPAWN_MESSAGE')
        .map(({ data }) => data.message)
        .filter((message) => (message as { type: string }).type === 'user'),
    );
  const listed = async (api: ApiLab): Promise<string[]> =>
    ((await api.request('/approvals')).body['items'] as Approval[]).map((each) => each.approval_id);
  const BASH = (command: string): string => `[[tool:Bash {"command":"${command}"}]] please`;
  const made = async (sessionId: string): Promise<string[]> => readdir(join(lab.dir, 'workspaces', sessionId));

  it('allows through any API; the first answer holds', async () => {
    const task = await one.spawn({ prompt: BASH('mkdir allowed'), approvals: true });
    const approval = await pendingApproval(task.task_id);
    assert.equal(approval.tool, 'Bash');
    assert.deepEqual(approval.input?.['command'], 'mkdir allowed');
    for (const api of [one, other]) {
      // The event reaches each API by itself.
      while ((await listed(api)).length === 0) await sleep(10);
      assert.deepEqual(await listed(api), [approval.approval_id]);
    }
    const [first, second] = await Promise.all([
      answer(other, approval.approval_id, { decision: 'allow' }),
      answer(one, approval.approval_id, { decision: 'deny' }),
    ]);
    assert.equal(first.status + second.status, 200 + 409);
    const decision = first.status === 200 ? 'allow' : 'deny';
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.deepEqual(
      resolved(task.task_id).map((each) => each['decision']),
      [decision],
    );
    assert.deepEqual(await made(task.session_id), decision === 'allow' ? ['allowed'] : []);
    const late = await answer(one, approval.approval_id, { decision: 'allow' });
    assert.deepEqual([late.status, late.body['code']], [409, 'already_answered']);
    assert.deepEqual((await one.request('/approvals')).body, { items: [] });
  });

  it('runs what the user makes of it, and tells Claude why not', async () => {
    const edited = await one.spawn({ prompt: BASH('mkdir claude'), approvals: true });
    const first = await pendingApproval(edited.task_id);
    const input = { command: 'mkdir user', description: 'x' };
    // Over NATS, as the operator.
    const request = JSON.stringify({ id: first.approval_id, decision: 'allow', input });
    const reply = await lab.broker.nc.request('ksi.api.approve', request, { timeout: 5_000 });
    assert.equal(reply.json<{ decision: string }>().decision, 'allow');
    await lab.outcome(edited.task_id);
    assert.deepEqual(await made(edited.session_id), ['user']);

    const denied = await one.spawn({ prompt: BASH('mkdir denied'), approvals: true });
    const second = await pendingApproval(denied.task_id);
    const socket = other.connect();
    await socket.opened;
    const frame = {
      op: 'approve',
      id: 'a',
      approval_id: second.approval_id,
      decision: 'deny',
      message: 'NOT-ON-MONDAY',
    };
    socket.send(frame);
    await socket.until(({ op }) => op === 'approved');
    await lab.outcome(denied.task_id);
    assert.match(told(denied.task_id), /NOT-ON-MONDAY/);
    assert.deepEqual(await made(denied.session_id), []);
    socket.send(frame);
    assert.equal((await socket.until(({ op }) => op === 'error')).code, 'already_answered');
    socket.socket.close();
  });

  it('holds an edited input to the rules of the task', async () => {
    const task = await one.spawn({
      prompt: BASH('mkdir fine'),
      approvals: true,
      disallowed_tools: ['Bash(rm:*)'],
    });
    const { approval_id: id } = await pendingApproval(task.task_id);
    const refused = await answer(one, id, { decision: 'allow', input: { command: 'rm -rf x' } });
    assert.deepEqual([refused.status, refused.body['code']], [403, 'tool_not_allowed']);
    assert.equal((await answer(one, id, { decision: 'allow' })).status, 200);
    await lab.outcome(task.task_id);
  });

  it('allows the same again by a rule, until that is revoked', async () => {
    const ask = { prompt: BASH('mkdir -p ruled'), approvals: true, session_id: 'ruled' };
    const first = await one.spawn(ask);
    const { approval_id: id } = await pendingApproval(first.task_id);
    const wrong = await answer(one, id, { decision: 'allow', always: { scope: 'agent' } });
    assert.deepEqual([wrong.status, wrong.body['code']], [400, 'invalid_request']);
    const made = await answer(one, id, { decision: 'allow', always: { scope: 'session' } });
    const rule = String(made.body['rule_id']);
    dataOf('SPAWN_COMPLETE', await lab.outcome(first.task_id));
    const { body } = await other.request('/approvals/rules');
    const [listed] = body['items'] as Record<string, unknown>[];
    assert.deepEqual([listed?.['rule_id'], listed?.['rule']], [rule, 'Bash(mkdir -p ruled)']);

    const second = await other.spawn(ask);
    dataOf('SPAWN_COMPLETE', await lab.outcome(second.task_id));
    assert.deepEqual(
      [...resolved(first.task_id), ...resolved(second.task_id)].map((each) => [each['decision'], each['rule_id']]),
      [
        ['allow', rule],
        ['allow', rule],
      ],
    );
    const audited = await lastBySubject(lab.broker, 'KSI_AUDIT', 'ksi.audit.local.approve');
    const entry = auditEntries(audited?.data ?? new Uint8Array()).at(-1);
    assert.deepEqual([entry?.over, entry?.rule_id, entry?.rule], ['rule', rule, 'Bash(mkdir -p ruled)']);

    const revoked = await one.request(`/approvals/rules/${rule}`, { method: 'DELETE' });
    assert.equal(revoked.status, 204);
    const third = await other.spawn(ask);
    const { approval_id: again } = await pendingApproval(third.task_id);
    assert.equal((await answer(one, again, { decision: 'deny' })).status, 200);
    await lab.outcome(third.task_id);
  });

  it('allows the same again for an agent, and for an owner, and names the rule in the audit', async () => {
    const here = new AgentsOver(() => one.url);
    for (const agent_id of ['painter', 'printer'])
      await here.register({ agent_id, kind: 'managed', options: { approvals: true } });
    /** The task of a message. */
    const taskOf = async (to: string, content: string): Promise<string> => {
      const { message_id: id } = await here.send({ to, content });
      return lab.until(() => {
        const tasks = lab.seen.map(({ event }) => event.data as { message?: { message_id: string }; task_id?: string });
        return tasks.find(({ message }) => message?.message_id === id)?.task_id;
      });
    };
    const audited = async (id: string, taskId: string): Promise<unknown[]> => {
      for (;;) {
        const stored = await lastBySubject(lab.broker, 'KSI_AUDIT', 'ksi.audit.local.approve');
        const last = auditEntries(stored?.data ?? new Uint8Array()).at(-1);
        if (last?.task_id === taskId) return [last.over, last.rule_id === id, last.rule];
        await sleep(10);
      }
    };
    const write = '[[tool:Write {"file_path":"made","content":"x"}]] please';
    const first = await taskOf('painter', write);
    const { approval_id: ofAgent } = await pendingApproval(first);
    const vague = await answer(one, ofAgent, { decision: 'allow', always: { scope: 'agent' } });
    assert.deepEqual([vague.status, vague.body['code']], [400, 'invalid_request']);
    assert.match(JSON.stringify(vague.body), /every use of Write/);
    const answered = await answer(one, ofAgent, { decision: 'allow', always: { scope: 'agent', rule: 'Write' } });
    const ofPainter = String(answered.body['rule_id']);
    dataOf('SPAWN_COMPLETE', await lab.outcome(first));
    const again = await taskOf('painter', write);
    dataOf('SPAWN_COMPLETE', await lab.outcome(again));
    assert.deepEqual(await audited(ofPainter, again), ['rule', true, 'Write']);

    // Another agent is asked, until its owner allows it everywhere.
    const third = await taskOf('printer', BASH('mkdir -p all'));
    const { approval_id: ofOwner } = await pendingApproval(third);
    const all = await answer(one, ofOwner, { decision: 'allow', always: { scope: 'owner' } });
    const everywhere = String(all.body['rule_id']);
    dataOf('SPAWN_COMPLETE', await lab.outcome(third));
    const anywhere = await other.spawn({ prompt: BASH('mkdir -p all'), approvals: true });
    dataOf('SPAWN_COMPLETE', await lab.outcome(anywhere.task_id));
    assert.deepEqual(await audited(everywhere, anywhere.task_id), ['rule', true, 'Bash(mkdir -p all)']);
    const elsewhere = await other.spawn({ prompt: write, approvals: true });
    const { approval_id: open } = await pendingApproval(elsewhere.task_id);
    assert.equal((await answer(one, open, { decision: 'deny' })).status, 200);
    await lab.outcome(elsewhere.task_id);
    for (const id of [ofPainter, everywhere])
      assert.equal((await one.request(`/approvals/rules/${id}`, { method: 'DELETE' })).status, 204);
  });

  it('allows nothing by the rules of a revoked token, and removes them', async () => {
    const ask = { prompt: BASH('mkdir -p token'), approvals: true, session_id: 'token' };
    const body = JSON.stringify({ owner: 'local', scopes: ['read', 'approve'] });
    const token = await one.request('/tokens', { method: 'POST', headers: json, body });
    const first = await one.spawn(ask);
    const { approval_id: id } = await pendingApproval(first.task_id);
    const made = await one.request(`/approvals/${id}`, {
      method: 'POST',
      headers: { ...json, authorization: `Bearer ${String(token.body['token'])}` },
      body: JSON.stringify({ decision: 'allow', always: { scope: 'session' } }),
    });
    const ruleId = String(made.body['rule_id']);
    await lab.outcome(first.task_id);
    assert.equal((await one.request(`/tokens/${String(token.body['token_id'])}`, { method: 'DELETE' })).status, 204);
    assert.deepEqual((await one.request('/approvals/rules')).body, { items: [] });

    const second = await one.spawn(ask);
    const { approval_id: again } = await pendingApproval(second.task_id);
    assert.equal((await answer(one, again, { decision: 'deny' })).status, 200);
    await lab.outcome(second.task_id);
    assert.deepEqual(
      resolved(second.task_id).map((each) => [each['decision'], each['rule_id']]),
      [['deny', undefined]],
    );

    // What the sweep of an API does.
    const tokens = { isValid: (tokenId: string) => Promise.resolve(tokenId === 'local') };
    const rules = new ApprovalRules(lab.broker, tokens, silent);
    await rules.start();
    await rules.removeEnded();
    await rules.stop();
    const stored = await lastBySubject(lab.broker, 'KV_ksi_approval_rules', SUBJECT.approvalRule('local', ruleId));
    assert.equal(stored?.data.length, 0);
  });

  it('knows at each API what is added and removed at another, without reading', async () => {
    const token = { isValid: () => Promise.resolve(true) };
    const [here, there] = [0, 1].map(() => new ApprovalRules(lab.broker, token, silent)) as [
      ApprovalRules,
      ApprovalRules,
    ];
    await Promise.all([here.start(), there.start()]);
    const approval = { owner: 'local', session_id: 's', kind: 'tool', tool: 'Bash', input: { command: 'git log' } };
    const asks = { ...approval, approval_id: 'a' } as unknown as Approval;
    const principal = { tokenId: 'local', owner: 'local', scopes: new Set<Scope>(), seesAll: false };
    const rule = here.ruleOf({ scope: 'session' }, asks, principal);
    const added = new Promise((resolve) => there.onAdded(resolve));
    await here.add(rule);
    assert.deepEqual(await added, rule);
    assert.deepEqual(await there.find(asks), rule);
    assert.equal(await there.find({ ...asks, session_id: 'other' }), undefined);
    await here.remove(rule.rule_id, principal);
    assert.equal(await there.find(asks), undefined, 'at once, whatever it has heard of it');
    await Promise.all([here.stop(), there.stop()]);
  });

  it('answers, and says why there is no rule, when that cannot be stored', async () => {
    const task = await one.spawn({ prompt: BASH('mkdir -p full'), approvals: true, session_id: 'full' });
    const { approval_id: id } = await pendingApproval(task.task_id);
    const { streams } = lab.broker.jsm;
    const { config } = await streams.info('KV_ksi_approval_rules');
    await streams.update(config.name, { max_bytes: 1 });
    const audit = lab.broker.nc.subscribe(SUBJECT.audit('local', 'approval_rule_create'), { max: 1 });
    const { status, body } = await answer(one, id, { decision: 'allow', always: { scope: 'session' } });
    await streams.update(config.name, { max_bytes: config.max_bytes });
    const { code } = body['rule_error'] as { code: string };
    assert.deepEqual([status, body['decision'], body['rule_id']], [200, 'allow', undefined]);
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.deepEqual((await one.request('/approvals/rules')).body, { items: [] });
    for await (const entry of audit) {
      const { target, result } = entry.json<{ target: string; result: string }>();
      assert.deepEqual([target, result], [id, code]);
    }
  });

  describe('in plan mode', () => {
    const WRITE = (content: string): string => `[[tool:Write ${JSON.stringify({ file_path: 'PLAN-FILE', content })}]]`;
    const EDIT = `[[tool:Edit ${JSON.stringify({ file_path: 'PLAN-FILE', old_string: 'wait', new_string: 'mkdir planned' })}]]`;
    const EXIT = '[[tool:ExitPlanMode {}]]';

    it('asks once, shows the plan, and carries it out in the mode that the answer names', async () => {
      const prompt = `${WRITE('# Plan\nwait')}${EDIT}${EXIT}[[tool:Write {"file_path":"made","content":"x"}]]go`;
      const task = await one.spawn({ prompt, approvals: true, permission_mode: 'plan' });
      const { approval_id: id, kind, tool, input } = await pendingApproval(task.task_id);
      assert.deepEqual([kind, tool, input?.['plan']], ['plan', 'ExitPlanMode', '# Plan\nmkdir planned']);
      const nonsense = await answer(one, id, { decision: 'deny', permission_mode: 'acceptEdits' });
      assert.equal(nonsense.status, 400);
      assert.equal((await answer(one, id, { decision: 'allow', permission_mode: 'acceptEdits' })).status, 200);
      dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
      assert.deepEqual(await made(task.session_id), ['made']);
      assert.equal(resolved(task.task_id).length, 1, 'neither the plan file nor the edit was asked about');
    });

    it('goes on asking for each edit where the answer names no mode, and plans on when it is refused', async () => {
      const prompt = `${WRITE('first')}${EXIT}${WRITE('second')}${EXIT}[[tool:Write {"file_path":"made","content":"x"}]]go`;
      const task = await one.spawn({ prompt, approvals: true, permission_mode: 'plan' });
      const first = await pendingApproval(task.task_id);
      await answer(one, first.approval_id, { decision: 'deny', message: 'MORE-DETAIL' });
      const second = await pendingApproval(task.task_id, 2);
      assert.equal(second.input?.['plan'], 'second');
      assert.match(told(task.task_id), /MORE-DETAIL/);
      await answer(one, second.approval_id, { decision: 'allow' });
      const edit = await pendingApproval(task.task_id, 3);
      assert.equal(edit.tool, 'Write');
      await answer(one, edit.approval_id, { decision: 'deny' });
      dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
      assert.deepEqual(await made(task.session_id), []);
    });

    it('asks nobody about a plan that Claude has neither written nor said', async () => {
      const task = await one.spawn({ prompt: `${EXIT}go`, approvals: true, permission_mode: 'plan' });
      dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
      assert.match(told(task.task_id), /Nobody can approve a plan that is not shown/);
      assert.deepEqual(resolved(task.task_id), []);
    });

    it('ends with the plan where nobody is asked', async () => {
      const prompt = `${WRITE('# Plan\nwait')}${EDIT}[[say:I wrote the plan.]]go`;
      const task = await one.spawn({ prompt, permission_mode: 'plan' });
      const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
      assert.equal(output?.['result'], '# Plan\nmkdir planned');
      const words = await one.spawn({ prompt: '[[say:A plan in words.]]', permission_mode: 'plan' });
      const answered = dataOf('SPAWN_COMPLETE', await lab.outcome(words.task_id));
      assert.equal(answered.output?.['result'], 'A plan in words.');
    });
  });

  it('passes on what Claude asks the user', async () => {
    const question = {
      question: 'Which fruit?',
      header: 'Fruit',
      multiSelect: false,
      options: [
        { label: 'Pear', description: 'a pear' },
        { label: 'Plum', description: 'a plum' },
      ],
    };
    const task = await one.spawn({
      prompt: `[[tool:AskUserQuestion ${JSON.stringify({ questions: [question] })}]] now`,
      approvals: true,
    });
    const approval = await pendingApproval(task.task_id);
    assert.equal(approval.kind, 'question');
    const mistyped = await answer(one, approval.approval_id, { decision: 'allow', answers: { 'Which?': 'Plum' } });
    assert.deepEqual([mistyped.status, mistyped.body['code']], [400, 'invalid_request']);
    assert.match(JSON.stringify(mistyped.body['errors']), /Which fruit/);
    const answers = { 'Which fruit?': 'Plum' };
    assert.equal((await answer(one, approval.approval_id, { decision: 'allow', answers })).status, 200);
    await lab.outcome(task.task_id);
    assert.match(told(task.task_id), /Plum/);
  });

  it('refuses by itself when nobody answers', async () => {
    const task = await one.spawn({ prompt: BASH('mkdir late'), approvals: true, approval_timeout_s: 1 });
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.deepEqual(
      resolved(task.task_id).map((each) => each['decision']),
      ['expired'],
    );
    assert.match(told(task.task_id), /Nobody allowed Bash within 1 s/);
  });

  it('keeps an approval through the restart of every API', async () => {
    const task = await one.spawn({ prompt: BASH('mkdir kept'), approvals: true });
    const { approval_id: id } = await pendingApproval(task.task_id);
    for (const api of [one, other]) {
      await api.stopApi();
      await api.startApi();
    }
    const { body } = await other.request('/approvals');
    assert.deepEqual(
      (body['items'] as Approval[]).map((each) => each.approval_id),
      [id],
    );
    assert.equal((await answer(other, id, { decision: 'allow' })).status, 200);
    await lab.outcome(task.task_id);
    assert.deepEqual(await made(task.session_id), ['kept']);
  });

  it('hears what is said while it works', async () => {
    const say = (id: string, text: string): Promise<Answer> =>
      one.request(`/tasks/${id}/input`, { method: 'POST', headers: json, body: JSON.stringify({ text }) });
    const task = await one.spawn({ prompt: BASH('sleep 2'), allowed_tools: ['Bash'] });
    await lab.until(() => (told(task.task_id) === '[]' && lab.of(task.task_id).length > 2 ? true : undefined));
    assert.equal((await say(task.task_id, 'CHANGED-MY-MIND')).status, 202);
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    const heard = messages.requests.some(({ body }) => JSON.stringify(body).includes('CHANGED-MY-MIND'));
    assert.ok(heard);
    const late = await say(task.task_id, 'too late');
    assert.deepEqual([late.status, late.body['code']], [409, 'task_ended']);
  });

  it('takes what came at the end of a turn for another one', async () => {
    const task = await one.spawn({ prompt: '[[delay:1500]] FIRST' });
    await lab.until(() => (lab.of(task.task_id).some(({ type }) => type === 'SPAWN_MESSAGE') ? true : undefined));
    const { status } = await one.request(`/tasks/${task.task_id}/input`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ text: 'SECOND' }),
    });
    assert.equal(status, 202);
    const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.match(String(output?.['result']), /SECOND/);
  });

  it('asks in that other turn too', async () => {
    const task = await one.spawn({ prompt: '[[delay:1500]] FIRST', approvals: true });
    await lab.until(() => (lab.of(task.task_id).some(({ type }) => type === 'SPAWN_MESSAGE') ? true : undefined));
    const { status } = await one.request(`/tasks/${task.task_id}/input`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ text: BASH('mkdir other-turn') }),
    });
    assert.equal(status, 202);
    const { approval_id: id } = await pendingApproval(task.task_id);
    assert.equal((await answer(one, id, { decision: 'allow' })).status, 200);
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.deepEqual(await made(task.session_id), ['other-turn']);
  });

  describe('with a subagent at work in the background', () => {
    const begin = async (delayMs: number): Promise<string> => {
      const agent = { description: 'look', prompt: `[[delay:${delayMs}]] SUB`, subagent_type: 'general-purpose' };
      const { task_id: id } = await one.spawn({ prompt: `[[tool:Task ${JSON.stringify(agent)}]] MAIN` });
      const launched = ({ type, data }: StoredEvent): boolean =>
        type === 'SPAWN_MESSAGE' && /"type":"assistant".*launched successfully/s.test(JSON.stringify(data));
      await lab.until(() => (lab.of(id).some(launched) ? true : undefined));
      return id;
    };

    // Longer than a process may take to exit after its last turn.
    it('waits for it, and hears what is said meanwhile', async () => {
      const id = await begin(7_000);
      const body = JSON.stringify({ text: 'MEANWHILE' });
      assert.equal((await one.request(`/tasks/${id}/input`, { method: 'POST', headers: json, body })).status, 202);
      const { n, usage } = dataOf('SPAWN_COMPLETE', await lab.outcome(id));
      assert.equal(lab.of(id).length - 2, n, 'SPAWN_QUEUED and SPAWN_INPUT have no number');
      const answered = JSON.stringify(lab.of(id).map(({ data }) => data));
      assert.match(answered, /"subtype":"task_notification".*"status":"completed"/);
      assert.match(answered, /You said: “MEANWHILE”/);
      assert.ok((usage?.turns ?? 0) >= 3);
    });

    it('is interrupted', async () => {
      const id = await begin(60_000);
      assert.equal((await one.request(`/tasks/${id}/interrupt`, { method: 'POST' })).status, 202);
      assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(id)).error.code, 'claude_interrupted');
    });
  });

  it('asks again when the worker is lost, and tells Claude again what it was told beside its prompt', async () => {
    const temporary = join(lab.dir, 'tmp');
    await mkdir(temporary);
    const claude = { KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', TMPDIR: temporary, ...env() };
    const worker = { KSI_QUEUES: 'doomed', KSI_LEASE_S: '3', ...claude };
    const doomed = workerProcess(lab, worker);
    const before = await one.spawn({ prompt: 'before', queue: 'doomed', session_id: 'doomed' });
    dataOf('SPAWN_COMPLETE', await lab.outcome(before.task_id));
    const prompt = BASH('mkdir again');
    const task = await one.spawn({ prompt, approvals: true, queue: 'doomed', session_id: 'doomed' });
    const first = await pendingApproval(task.task_id);
    const body = JSON.stringify({ text: 'BEFORE-THE-KILL' });
    const answered = await one.request(`/tasks/${task.task_id}/input`, { method: 'POST', headers: json, body });
    assert.equal(answered.status, 202);
    doomed.kill('SIGKILL');
    workerProcess(lab, worker);
    const second = await pendingApproval(task.task_id, 2);
    assert.notEqual(second.approval_id, first.approval_id);
    assert.equal(second.attempt, 2);
    const gone = await answer(one, first.approval_id, { decision: 'allow' });
    assert.ok([404, 409].includes(gone.status));
    assert.equal((await answer(one, second.approval_id, { decision: 'allow' })).status, 200);
    dataOf('SPAWN_COMPLETE', await lab.outcome(task.task_id));
    assert.ok(existsSync(join(lab.dir, 'workspaces', task.session_id, 'again')));
    const told = messages.requests.filter(({ body }) => JSON.stringify(body).includes('BEFORE-THE-KILL'));
    assert.ok(told.length > 0);
    for (const { body } of told) assert.equal(JSON.stringify(body).split('BEFORE-THE-KILL').length, 2, 'once');
    assert.equal(lab.of(task.task_id).filter(({ type }) => type === 'SPAWN_INPUT').length, 1);
    // The transcript that it had resumed from, and what else is put aside, is gone with it.
    assert.deepEqual(await readdir(temporary), []);
    const { data } = await lab.event('SPAWN_START', task.task_id);
    assert.ok(!existsSync(join(lab.dir, 'workers', data.worker_id)));
    assert.deepEqual((await other.request('/approvals')).body, { items: [] });
  });
});
