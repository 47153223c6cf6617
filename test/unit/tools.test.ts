import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import pino from 'pino';
import type { ToolPolicy } from '../../contracts/tasks/tool-policy.js';
import { ConfigError } from '../../src/config/error.js';
import { layersOf, toolsOf, requestFault, editFault, useFault } from '../../src/tools/limits.js';
import { toolPolicyFile } from '../../src/tools/policy-file.js';
import { covers, parseRule } from '../../src/tools/rule.js';
import { TaskFault } from '../../workers/attempt/fault.js';
import { toolsFor } from '../../workers/attempt/tools.js';

describe('tool rules', () => {
  for (const [allowed, requested, expected] of [
    ['Bash', 'Bash', true],
    ['Bash', 'Bash(rm -rf /)', true],
    ['Bash(git:*)', 'Bash(git:*)', true],
    ['Bash(git:*)', 'Bash(git push:*)', true],
    ['Bash(git *)', 'Bash(git log)', true],
    ['Bash(git:*)', 'Bash(gitk:*)', false],
    ['Bash(git:*)', 'Bash(git log; rm:*)', false],
    ['Bash(git:*)', 'Bash(git $X:*)', false],
    ['Bash(git:*)', 'Bash', false],
    ['Bash(git log)', 'Bash(git log -p)', false],
    ['Read', 'Edit', false],
    ['mcp__files__*', 'mcp__files__read', true],
    ['mcp__files__*', 'mcp__other__read', false],
    ['mcp__files__read', 'mcp__files__*', false],
    ['mcp__*__read', 'mcp__files__read', true],
    ['mcp__*_read', 'mcp__read', false],
    ['mcp__*s__*d', 'mcp__files__read', true],
    [`${'a*'.repeat(60)}b`, 'a'.repeat(120), false],
    ['WebFetch(domain:example.org)', 'WebFetch(domain:example.org)', true],
    ['WebFetch(domain:example.org)', 'WebFetch(domain:sub.example.org)', false],
    ['Edit', 'Edit(/src/**)', true],
    ['Edit(/src/**)', 'Edit(/**)', false],
  ] as const)
    it(`${allowed} ${expected ? 'covers' : 'does not cover'} ${requested}`, () =>
      assert.equal(covers(parseRule(allowed), parseRule(requested)), expected));
});

const POLICY: ToolPolicy = {
  allow: ['Read', 'Bash(git:*)', 'Bash(npm test)', 'WebFetch(domain:example.org)', 'mcp__files__*'],
  deny: ['Bash(git push:*)'],
  owners: { ann: { allow: ['Read', 'Bash'], deny: ['Read(./secrets/**)'] } },
};

describe('the tools that a task may request', () => {
  const why = (owner: string, rule: string): string | undefined => requestFault(layersOf(POLICY, owner, {}), rule);

  it('are those that the operator and the owner allow, and the refusal names the source of the rule', () => {
    assert.equal(why('bob', 'Bash(git log:*)'), undefined);
    assert.match(
      why('bob', 'Bash') ?? '',
      /^Bash is not allowed by the operator's policy, which allows: Read, Bash\(git:\*\)/,
    );
    assert.match(
      why('bob', 'Bash(git push origin:*)') ?? '',
      /denied by the operator's policy \(Bash\(git push:\*\)\)/,
    );
    assert.match(why('ann', 'mcp__files__read') ?? '', /not allowed by the owner's policy/);
    assert.equal(why('bob', 'mcp__files__read'), undefined);
  });

  it('are the intersection of the allowed tools', () => {
    assert.deepEqual(toolsOf(layersOf(POLICY, 'ann', {})), ['Read', 'Bash']);
    assert.deepEqual(
      toolsOf(layersOf(POLICY, 'bob', {})),
      ['Read', 'Bash', 'WebFetch'],
      "no server's tool is Claude's own",
    );
    assert.equal(toolsOf(layersOf({}, 'ann', {})), undefined);
  });
});

describe('a use of a tool', () => {
  const bash = (command: string, owner = 'bob', disallowed: string[] = []): string | undefined =>
    useFault(layersOf(POLICY, owner, { disallowed_tools: disallowed }), 'Bash', { command });

  for (const command of ['git log', 'git log && git status', 'npm test', 'git diff | git apply'])
    it(`is allowed: ${command}`, () => assert.equal(bash(command), undefined));
  for (const command of [
    'ls',
    'git log; ls',
    'git log\nls',
    'git log & ls',
    'git log | sh',
    'git log $(ls)',
    'git log `ls`',
    'git log > /etc/x',
    'npm test -- x',
    '(git log)',
    'git () ( rm -rf x ) && git',
    '',
  ])
    it(`is not allowed: ${JSON.stringify(command)}`, () =>
      command === ''
        ? assert.equal(bash(command), undefined)
        : assert.match(bash(command) ?? '', /not allowed by the operator/));

  it('is refused by the strictest limit, with its rule', () => {
    assert.match(bash('git status && git push -f') ?? '', /denied by the operator's policy \(Bash\(git push:\*\)\)/);
    assert.match(bash('git  \t push') ?? '', /denied by the operator's policy/, 'blanks hide nothing');
    assert.match(bash('git log', 'bob', ['Bash(git log:*)']) ?? '', /denied by the request/);
    assert.match(bash('git log', 'bob', ['Bash']) ?? '', /denied by the request \(Bash\)/);
    for (const command of ['(git push)', 'echo $(git push)', '{ git push; }', 'echo `git push`'])
      assert.match(bash(command) ?? '', /denied by the operator's policy/);
    const fetch = (url: string): string | undefined => useFault(layersOf(POLICY, 'bob', {}), 'WebFetch', { url });
    assert.equal(fetch('https://example.org/a'), undefined);
    assert.match(fetch('https://example.org.evil.test/') ?? '', /is not allowed/);
    assert.match(fetch('https://example.org@evil.test/') ?? '', /is not allowed/);
    const denied = layersOf({ deny: ['WebFetch(domain:example.org)'] }, 'bob', {});
    assert.match(useFault(denied, 'WebFetch', { url: 'https://Example.org./a' }) ?? '', /is denied/);
  });

  it('is checked for every tool that runs shell commands', () => {
    const watch = (deny: string[], command: string): string | undefined =>
      useFault(layersOf({ deny }, 'bob', {}), 'Monitor', { command });
    assert.match(watch(['Bash'], 'ls') ?? '', /Monitor is denied by the operator's policy \(Bash\)/);
    assert.match(watch(['Bash(rm:*)'], 'ls; rm x') ?? '', /is denied/);
    assert.equal(watch(['Bash(rm:*)'], 'ls'), undefined);
  });
});

describe('a tool input that a person has edited', () => {
  const edited = (deny: string[], tool: string, input: Record<string, unknown>): string | undefined =>
    editFault(layersOf({ deny }, 'bob', {}), tool, input);

  it('is allowed only if KSI can tell that no rule denies it, because Claude does not check it again', () => {
    assert.match(edited(['Read(/etc/**)'], 'Read', { file_path: '/etc/x' }) ?? '', /KSI cannot tell/);
    assert.match(edited(['Edit(/etc/**)'], 'Write', { file_path: '/etc/x' }) ?? '', /KSI cannot tell/);
    assert.match(edited(['Bash(rm * x)'], 'Bash', { command: 'rm -f x' }) ?? '', /KSI cannot tell/);
    assert.match(edited(['Bash(rm:*)'], 'Bash', { command: 'rm -f x' }) ?? '', /is denied/);
    assert.equal(edited(['Bash(rm:*)', 'Read(/etc/**)'], 'Bash', { command: 'ls' }), undefined);
    assert.equal(edited([], 'Write', { file_path: '/etc/x' }), undefined);
  });
});

describe('the tool options of Claude', () => {
  const task = { owner: 'bob' } as Parameters<typeof toolsFor>[0];

  it('are the defaults without limits', () => {
    const { existing, allowed, disallowed, whyNot } = toolsFor({ ...task, allowed_tools: ['Bash'] }, undefined, {});
    assert.deepEqual([existing, allowed, disallowed, whyNot], [undefined, ['Bash'], [], undefined]);
  });

  it('contain all denials, whatever their source', () => {
    const { disallowed } = toolsFor({ ...task, owner: 'ann', disallowed_tools: ['WebSearch'] }, undefined, POLICY);
    assert.deepEqual(disallowed, ['Bash(git push:*)', 'Read(./secrets/**)', 'WebSearch']);
  });

  it('never contain a rule that reads as two rules or as a flag, even if a command contains one', () => {
    for (const rule of ['Read,Bash', 'Bash(a),Bash(b)', '--dangerously-skip-permissions', 'Read Bash', ''])
      assert.throws(() => toolsFor({ ...task, allowed_tools: [rule] }, undefined, {}), TaskFault);
  });

  it('deny git in a folder that others may have written to, unless it was requested', () => {
    assert.match(toolsFor(task, 'site', {}).whyNot?.('Bash', { command: 'cd x && git status' }) ?? '', /allow it/);
    assert.match(toolsFor(task, 'site', {}).whyNot?.('Bash', { command: `g''it status` }) ?? '', /allow it/);
    assert.equal(toolsFor(task, 'site', {}).whyNot?.('Bash', { command: 'ls digit' }), undefined);
    assert.equal(toolsFor({ ...task, allowed_tools: ['Bash(git status:*)'] }, 'site', {}).whyNot, undefined);
    assert.equal(toolsFor({ ...task, allowed_tools: ['Bash'] }, 'site', {}).whyNot, undefined);
  });
});

describe("the operator's file", () => {
  const folder = mkdtempSync(join(tmpdir(), 'ksi-tools-'));
  const file = join(folder, 'policy.json');
  const log = pino({ level: 'silent' });
  after(() => rmSync(folder, { recursive: true }));

  it('must be readable and valid at the start', () => {
    assert.throws(() => toolPolicyFile(file, log), ConfigError);
    for (const [text, expectedText] of [
      ['{', /JSON/],
      ['{"allowed":[]}', /allowed/],
      ['{"allow":["Bash,Read"]}', /allow/],
      ['{"allow":["Edit(src)"]}', /can only be Bash\(words:\*\)/],
      ['{"allow":["Bash(a*b)"]}', /can only be Bash\(words:\*\)/],
    ] as const) {
      writeFileSync(file, text);
      assert.throws(() => toolPolicyFile(file, log), { name: 'ConfigError', message: expectedText }, text);
    }
  });

  it('is reloaded when it changes, and stays in force when it becomes invalid', (t) => {
    t.mock.timers.enable({ apis: ['Date'] });
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    writeFileSync(file, '{"deny":["Bash"]}');
    const policy = toolPolicyFile(file, log);
    assert.deepEqual(policy.current, { deny: ['Bash'] });
    for (const [text, expected] of [
      ['{"deny":["Bash","Read"]}', { deny: ['Bash', 'Read'] }],
      ['{"deny":', { deny: ['Bash', 'Read'] }],
      ['{}', {}],
    ] as const) {
      writeFileSync(file, text);
      now += 2_000;
      assert.deepEqual(policy.current, expected);
    }
  });
});
