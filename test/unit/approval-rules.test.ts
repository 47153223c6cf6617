import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Always, ApprovalRule } from '../../contracts/tasks/approval-rules.js';
import type { Approval } from '../../contracts/tasks/approvals.js';
import { ruleApplies, proposedRule } from '../../src/tasks/approvals/rule-matching.js';

const approval = (fields: Partial<Approval>): Approval => ({
  approval_id: 'a',
  attempt: 1,
  kind: 'tool',
  tool: 'Bash',
  input: { command: 'git status' },
  expires_at: '',
  requested_at: '',
  task_id: 't',
  session_id: 's',
  owner: 'ann',
  ...fields,
});
const bash = (command: string): Approval => approval({ input: { command } });
const rule = (fields: Partial<ApprovalRule>): ApprovalRule => ({
  rule_id: 'r',
  owner: 'ann',
  scope: 'owner',
  rule: 'Bash(git status)',
  approval_id: 'a',
  by: 'ann',
  token_id: 't',
  created_at: '',
  ...fields,
});

describe('rules of approvals', () => {
  it('are derived from the requested tool use', () => {
    const made = (request: Approval, scope: Always['scope'] = 'owner') => proposedRule({ scope }, request);
    assert.deepEqual(made(bash(' git  status ')), { rule: 'Bash(git status)' });
    assert.deepEqual(made(approval({ tool: 'Write', input: { file_path: '/a' } }), 'session'), { rule: 'Write' });
    const fetch = approval({ tool: 'WebFetch', input: { url: 'https://example.org/a' } });
    assert.deepEqual(made(fetch), { rule: 'WebFetch(domain:example.org)' });
  });

  it('are refused if they do not allow the requested tool use, or if their effect cannot be determined', () => {
    const refused = (request: Approval, always: Parameters<typeof proposedRule>[0]): string => {
      const made = proposedRule(always, request);
      return 'field' in made ? made.field : made.rule;
    };
    assert.equal(refused(bash('echo $(date)'), { scope: 'owner' }), 'always.rule');
    assert.equal(refused(bash('rm -rf *'), { scope: 'owner' }), 'always.rule', 'it would allow rm -rf of anything');
    assert.equal(refused(bash('git log'), { scope: 'owner', rule: 'Bash(git status:*)' }), 'always.rule');
    assert.equal(
      refused(approval({ tool: 'Write', input: { file_path: '/a' } }), { scope: 'owner', rule: 'Write(/a)' }),
      'always.rule',
    );
    assert.equal(refused(bash('ls'), { scope: 'agent' }), 'always.scope');
    assert.equal(refused(approval({ kind: 'plan', tool: 'ExitPlanMode' }), { scope: 'owner' }), 'always');
    assert.equal(refused(bash('git log'), { scope: 'owner', rule: 'Bash(git:*)' }), 'Bash(git:*)');
  });

  it('allow every use of a tool outside the session only if a person names the rule', () => {
    const request = approval({ tool: 'Write', input: { file_path: '/a' }, agent_id: 'x' });
    for (const scope of ['agent', 'owner'] as const) {
      const refused = proposedRule({ scope }, request);
      assert.ok('field' in refused && refused.field === 'always.rule', scope);
      assert.match(refused.message, /every use of Write/);
      assert.deepEqual(proposedRule({ scope, rule: 'Write' }, request), { rule: 'Write' });
    }
  });

  it('allow only the matching tool uses', () => {
    assert.ok(ruleApplies(rule({}), bash('git status')));
    for (const command of ['git status -v', 'git status; rm x', 'git status $(rm x)', 'git push'])
      assert.ok(!ruleApplies(rule({}), bash(command)), command);
    const words = rule({ rule: 'Bash(git:*)' });
    assert.ok(ruleApplies(words, bash('git log && git status')));
    assert.ok(!ruleApplies(words, bash('git log && rm x')));
    assert.ok(!ruleApplies(words, approval({ tool: 'Write', input: {} })));
    assert.ok(!ruleApplies(rule({ rule: 'Write' }), approval({ kind: 'question', tool: 'Write' })));
  });

  it('apply to the tasks in their scope', () => {
    assert.ok(!ruleApplies(rule({ owner: 'bob' }), bash('git status')));
    assert.ok(ruleApplies(rule({ scope: 'session', session_id: 's' }), bash('git status')));
    assert.ok(!ruleApplies(rule({ scope: 'session', session_id: 'other' }), bash('git status')));
    assert.ok(ruleApplies(rule({ scope: 'agent', agent_id: 'x' }), approval({ agent_id: 'x' })));
    assert.ok(!ruleApplies(rule({ scope: 'agent', agent_id: 'x' }), bash('git status')));
  });
});
