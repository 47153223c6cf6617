import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Approvals, type ApprovalsOptions } from '../../workers/attempt/approvals.js';
import { PlanTracker } from '../../workers/attempt/plan-tracker.js';
import type { ClaudeMessage } from '../../workers/claude/ending.js';
import { LargeValues } from '../../workers/claude/large-values.js';
import { Redaction } from '../../workers/claude/redaction.js';
import { Stopped } from '../../workers/attempt/stop.js';

const ID = '0190a0a0-0000-7000-8000-000000000001';

/** Approvals, what they told, and the timers that run. */
function made(options: Partial<ApprovalsOptions> = {}) {
  const published: string[] = [];
  const timers = new Set<() => void>();
  const events: ApprovalsOptions['events'] = {
    approvalRequested: ({ approval_id: id }) => void published.push(`requested ${id}`),
    approvalResolved: ({ decision }) => {
      published.push(decision);
      return Promise.resolve();
    },
  };
  const clock: ApprovalsOptions['clock'] = {
    now: () => 0,
    after: (_ms, call) => {
      timers.add(call);
      return () => timers.delete(call);
    },
  };
  const tools = { editFault: () => 'not so' };
  const redaction = new Redaction(['sk-ant-secret']);
  const approvals = new Approvals({
    taskId: ID,
    attempt: 1,
    timeoutMs: 1_000,
    events,
    clock,
    tools,
    redaction,
    plan: { planText: () => undefined },
    ...options,
  });
  const ask = (signal: AbortSignal, tool = 'Bash', input: Record<string, unknown> = { command: 'ls' }) =>
    approvals.ask(tool, input, { signal, toolUseID: 't', requestId: 'r' });
  return { approvals, ask, told: published, timers };
}

const fenced = {
  approvalRequested: () => undefined,
  approvalResolved: () => Promise.reject(new Stopped('fenced')),
};

describe('approvals of an attempt', () => {
  it('show a plan that Claude wrote as text and not into a file', () => {
    const plan = new PlanTracker();
    plan.mayLieIn('/config');
    const say = (text: string, more: object = {}): void =>
      plan.observe({ type: 'assistant', message: { content: [{ type: 'text', text }] }, ...more });
    say('the plan');
    say('of a subagent', { parent_tool_use_id: 'toolu_1' });
    plan.observe({ type: 'user', tool_use_result: { filePath: '/config/plans/../x', content: 'elsewhere' } });
    assert.equal(plan.planText({}), 'the plan');
    assert.equal(plan.planText({ plan: 'from its file' }), 'from its file');
    assert.equal(plan.written, undefined);
  });

  it('show a large plan as it was edited', async () => {
    const large = new LargeValues();
    const plan = new PlanTracker((text) => large.restoreText(text));
    plan.mayLieIn('/config');
    const hear = async (done: object): Promise<void> => {
      const line = await large.condense([Buffer.from(JSON.stringify({ type: 'user', tool_use_result: done }))]);
      plan.observe(JSON.parse(line.toString()) as ClaudeMessage);
    };
    const filePath = '/config/plans/plan.md';
    const text = 'x'.repeat(5 * 1_048_576);
    await hear({ filePath, content: `${text} old` });
    await hear({ filePath, originalFile: `${text} old`, oldString: 'old', newString: 'new' });
    assert.ok(plan.written === `${text} new`);
  });

  it('are not requested for a missing plan', async () => {
    const { ask, told: published } = made();
    const result = await ask(new AbortController().signal, 'ExitPlanMode', {});
    assert.ok(result?.behavior === 'deny');
    assert.match(result.message, /plan file/);
    assert.deepEqual(published, []);
  });

  it('are withdrawn with their turn, even if it ended before the request', async () => {
    const { ask, told: published, timers } = made();
    const turn = new AbortController();
    const answer = ask(turn.signal);
    turn.abort();
    assert.equal((await answer)?.behavior, 'deny');
    assert.equal((await ask(turn.signal))?.behavior, 'deny');
    assert.deepEqual(published, [`requested ${ID}.1.1`, 'withdrawn', `requested ${ID}.1.2`, 'withdrawn']);
    assert.equal(timers.size, 0);
  });

  it('check only edited input against the rules', async () => {
    const { approvals, ask, told: published } = made();
    const answer = ask(new AbortController().signal);
    const edited = await approvals.answer(`${ID}.1.1`, { decision: 'allow', input: { command: 'rm x' } }, 'ann');
    assert.deepEqual(edited, { ok: false, error: 'not_allowed', detail: 'not so' });
    const same = await approvals.answer(`${ID}.1.1`, { decision: 'allow', input: { command: 'ls' } }, 'ann');
    assert.deepEqual(same, { ok: true });
    assert.deepEqual(await answer, { behavior: 'allow', updatedInput: { command: 'ls' } });
    assert.deepEqual(published.slice(1), ['allow']);
  });

  it('accept only valid answers', async () => {
    const tools = { editFault: () => undefined };
    const { approvals, ask, told: published } = made({ tools });
    const questions = [{ question: 'Which fruit?' }, { question: 'How many?' }];
    const answer = ask(new AbortController().signal, 'AskUserQuestion', { questions });
    const id = `${ID}.1.1`;
    for (const answers of [undefined, {}, { 'Which?': 'Plum' }, { 'Which fruit?': 'Plum', more: 'x' }]) {
      const given = await approvals.answer(id, { decision: 'allow', ...(answers && { answers }) }, 'ann');
      assert.ok(!given.ok && given.error === 'no_answer', JSON.stringify(answers));
      assert.match(given.detail ?? '', /Asked is "Which fruit\?", "How many\?"/);
    }
    assert.equal(published.length, 1);
    const answers = { 'Which fruit?': 'Plum' };
    assert.deepEqual(await approvals.answer(id, { decision: 'allow', answers }, 'ann'), { ok: true });
    assert.deepEqual(await answer, { behavior: 'allow', updatedInput: { questions, answers } });
    const tool = ask(new AbortController().signal);
    assert.ok(!(await approvals.answer(`${ID}.1.2`, { decision: 'allow', answers }, 'ann')).ok);
    await approvals.answer(`${ID}.1.2`, { decision: 'deny' }, 'ann');
    assert.equal((await tool)?.behavior, 'deny');
  });

  // A rejection that nobody handles ends the worker, with all its other tasks.
  it('end quietly with an attempt that may publish nothing more', async () => {
    const { ask, timers } = made({ events: fenced });
    const turn = new AbortController();
    const answer = ask(turn.signal);
    turn.abort();
    assert.equal((await answer)?.behavior, 'deny');
    const late = ask(new AbortController().signal);
    for (const expire of timers) expire();
    assert.equal((await late)?.behavior, 'deny');
  });
});
