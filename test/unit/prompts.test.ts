import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { keyOfToken, keyToken } from '../../contracts/wire/key-token.js';
import { ComponentError, readComponent } from '../../src/prompts/component-file.js';
import { compose, ComposeError, validate } from '../../src/prompts/compose.js';
import { CompositionError, parseComposition } from '../../src/prompts/composition-file.js';
import { defaultAppearance, defaultName, defaultTraits } from '../../src/prompts/identity-defaults.js';
import { PromptLibrary } from '../../src/prompts/library.js';
import { parseProfile, ProfileError } from '../../src/prompts/profile-file.js';
import { choiceOf, ranked, scoreOf } from '../../src/prompts/select.js';
import { silent } from '../fixtures/connection.js';

const composition = (yaml: string) => parseComposition(`components: []\n${yaml}`, 'it');

describe('a composition', () => {
  it('is plain data: no tags, alias bombs, duplicate keys or merges', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${'bcdefghi'
      .split('')
      .map((key, n) => `${key}: &${key} [${Array.from({ length: 10 }, () => `*${'abcdefgh'[n] ?? 'a'}`).join(', ')}]`)
      .join('\n')}`;
    for (const [text, why] of [
      ['metadata: !!js/function "x"', /tag/i],
      ['metadata: !own {a: 1}', /tag/i],
      [bomb, /alias/i],
      ['metadata: {}\nmetadata: {}', /unique/i],
      ['name: [1', /flow|]/i],
      ['name: 3', /`name`/],
      ['metadata: text', /`metadata`/],
      [`metadata: ${'['.repeat(100_000)}`, /./],
      [`name: ${'x'.repeat(300_000)}`, /bytes/],
    ] as const)
      assert.throws(
        () => composition(text),
        (error) => error instanceof CompositionError && why.test(error.message),
        text.slice(0, 40),
      );
    assert.throws(() => parseComposition('- a', 'it'), CompositionError);
    assert.throws(() => parseComposition('components: [{name: a}]', 'it'), /source/);
  });

  it('is parsed in the forms that people write', () => {
    const read = parseComposition(
      'name: other\nversion: 2.10\nauthor: null\ncomponents:\n- {source: c/a.md, condition: false}\n- {source: c/b.md, condition: ""}\nmetadata: {at: 2026-01-01, on: yes}',
      'it',
    );
    assert.deepEqual([read.name, read.version, read.author, read.description], ['it', '2.10', '', '']);
    assert.deepEqual(
      read.components.map(({ name, condition }) => [name, condition]),
      [
        ['c/a.md', 'False'],
        ['c/b.md', undefined],
      ],
    );
    assert.deepEqual(read.metadata, { at: '2026-01-01', on: 'yes' });
  });

  const files: Record<string, string> = {
    'one.md': '\n\n  Hello {{name}}, {{ name }} of {{place}}.\n\n',
    'two.md': '{{list}} {{unknown}} {{n}} {{on}}',
    'long.md': '{{name}}'.repeat(1_000),
  };
  const composing = {
    component: async (source: string) => {
      const text = files[source];
      if (text === undefined) throw new ComponentError(`There is no ${source}`);
      return text;
    },
    mostChars: 10_000,
  };
  const both = parseComposition(
    `components:
  - {name: one, source: one.md, vars: {name: nobody, place: "{{town}}, {{name}}"}}
  - {name: no, source: two.md, condition: "{{name}} == 'x'"}
  - {name: two, source: two.md, vars: {n: 3, unknown: "{{unknown}}"}}
required_context: {name: a name}`,
    'both',
  );

  it('is composed: the context takes precedence over vars, and values are inserted once', async () => {
    const context = { name: '{{place}}', town: '{{name}}', list: ['{{name}}'], on: true };
    const { prompt, length, components, unresolved } = await compose(both, context, composing);
    assert.equal(prompt, '  Hello {{place}}, {{place}} of {{name}}, {{place}}.\n\n["{{name}}"] {{unknown}} 3 true');
    assert.deepEqual([length, components, unresolved], [prompt.length, ['one', 'two'], ['unknown']]);
  });

  it('inserts no value twice, whatever the values are', async () => {
    const text = fc.oneof(fc.constantFrom('{{a}}', '{{b}}', '{{', '}}', '{{{{a}}}}', '$&', '$1'), fc.string());
    await fc.assert(
      fc.asyncProperty(text, text, async (a, b) => {
        const one = parseComposition('components: [{name: x, source: x}]', 'x');
        const { prompt } = await compose(one, { a, b }, { component: async () => '<{{a}}|{{b}}>', mostChars: 1_000 });
        assert.equal(prompt, `<${a}|${b}>`);
      }),
    );
  });

  it('is refused without its context, a component or a valid condition, and validation reports that', async () => {
    await assert.rejects(
      compose(both, {}, composing),
      (error) => error instanceof ComposeError && error.missing[0] === 'name',
    );
    assert.deepEqual(await validate(both, {}, composing), {
      valid: false,
      missing_context: ['name'],
      required_context: { name: 'a name' },
    });
    assert.deepEqual((await validate(both, { name: null }, composing)).valid, true, 'null is there');
    const broken = parseComposition(
      `components: [{name: a, source: gone.md, condition: "False"}, {name: b, source: one.md, condition: "a b"}]`,
      'broken',
    );
    const { valid, issues } = await validate(broken, {}, composing);
    assert.deepEqual([valid, issues?.missing_components], [false, ['gone.md']]);
    assert.match(issues?.invalid_conditions?.[0] ?? '', /^b: .*character 1/);
    await assert.rejects(compose(broken, {}, composing), /Component b: .*character 1/);
  });

  it('never exceeds the limit on a prompt', async () => {
    const long = parseComposition('components: [{name: long, source: long.md}]', 'long');
    await assert.rejects(compose(long, { name: 'x'.repeat(1e6) }, composing), /more than 10000 characters/);
  });
});

describe('a component', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-prompts-'));
    await mkdir(join(dir, 'prompts/components/deep'), { recursive: true });
    await writeFile(join(dir, 'prompts/components/a.md'), 'A');
    await writeFile(join(dir, 'secret.md'), 'secret');
    await symlink(join(dir, 'secret.md'), join(dir, 'prompts/components/out.md'));
    await symlink(dir, join(dir, 'prompts/components/deep/up'));
    await symlink('a.md', join(dir, 'prompts/components/in.md'));
  });
  after(() => rm(dir, { recursive: true }));

  it('is read only from the folder of prompts', async () => {
    const roots = [join(dir, 'prompts')];
    assert.equal(await readComponent(roots, 'components/a.md'), 'A');
    assert.equal(await readComponent(roots, 'components/in.md'), 'A', 'a link that stays inside');
    for (const source of [
      'components/out.md',
      'components/deep/up/secret.md',
      '../secret.md',
      'components/../../secret.md',
      join(dir, 'secret.md'),
      'components\\a.md',
      'components/a.md\0',
      'components',
      'components/',
      '',
      'components/none.md',
      'components/a.md/x',
    ])
      await assert.rejects(readComponent(roots, source), ComponentError, source);
  });
});

describe('the choice of a composition', () => {
  it('scores as docs/design/legacy-protocol.md describes', () => {
    const it = composition(`version: 2.0
description: Reviews Python code
metadata:
  role: Reviewer
  compatible_roles: [coder]
  capabilities_required: [review, python, git, sql]
  capabilities_provided: [audit]
  tags: [security, python-code, quality]
  use_cases: [a, b]
  tested: true`);
    const always = 5 + 3 + 2;
    for (const [wanted, score] of [
      [{}, always],
      [{ role: 'reviewer' }, always + 30],
      [{ role: 'Coder' }, always + 20],
      [{ capabilities: ['review'] }, always + 25 / 4],
      [{ capabilities: ['review', 'python', 'git', 'sql', 'x'] }, always + 25],
      [{ capabilities: ['audit'] }, always + 10],
      [{ task: 'python' }, always + 5 + 3],
      [{ task: 'reviews python code of security quality' }, always + 15 + 10],
      [{ role: 'reviewer', capabilities: ['audit', 'git'], task: 'quality' }, always + 30 + 10 + 25 / 4 + 3],
    ] as const)
      assert.equal(scoreOf(it, wanted as Parameters<typeof scoreOf>[1]).score, score, JSON.stringify(wanted));
    const plain = composition('version: 1.9\nmetadata: {use_cases: [a], tested: "yes"}');
    assert.equal(scoreOf(plain, { role: 'reviewer', task: 'x' }).score, 0);
    assert.deepEqual(choiceOf(ranked([plain], {})), {
      composition: 'claude_agent_default',
      score: 0,
      reasons: ['none fits'],
      fallback: true,
    });
    assert.equal(choiceOf(ranked([plain, it], {})).fallback, false);
  });
});

describe('an identity', () => {
  it('has a name, four traits and an appearance that match its role', () => {
    assert.equal(defaultName('agent_12345678', 'code reviewer'), 'Code Reviewer-5678');
    assert.equal(defaultName('agent_12345678', undefined), 'Agent-12345678');
    for (const role of ['researcher', 'coder', 'whatever', '__proto__', undefined])
      assert.equal(defaultTraits(role).length, 4);
    assert.notDeepEqual(defaultAppearance('coder'), defaultAppearance('teacher'));
  });
});

describe('a profile', () => {
  it('in the legacy format is read', () => {
    assert.deepEqual(
      parseProfile(
        '{"name": "x", "model": "opus", "role": "debater", "capabilities": ["a"], "system_prompt": "Argue.", "composition": "c", "enable_tools": true, "allowed_tools": ["Read"], "more": 1}',
      ),
      {
        role: 'debater',
        capabilities: ['a'],
        composition: 'c',
        options: { model: 'opus', append_system_prompt: 'Argue.', allowed_tools: ['Read'] },
      },
    );
    assert.deepEqual(parseProfile('{"enable_tools": false, "allowed_tools": ["Read"]}'), { options: {} });
  });

  it('with an unknown field is refused with the name of the field', () => {
    assert.throws(() => parseProfile('{"optoins": {}}'), /optoins/);
    assert.throws(() => parseProfile('{"options": {"permission_mode": "bypassPermissions"}}'), ProfileError);
    assert.throws(() => parseProfile('{"composition": "../x"}'), ProfileError);
    assert.throws(() => parseProfile('{'), ProfileError);
  });
});

describe('the library', () => {
  it('that comes with KSI is complete: every composition can be composed, and every profile has one', async () => {
    const library = new PromptLibrary({ own: undefined, ownProfiles: undefined, log: silent });
    const compositions = await library.compositions();
    const profiles = await library.profiles();
    assert.ok(compositions.size >= 19 && profiles.size >= 14);
    const composing = { component: (source: string) => library.component(source), mostChars: 100_000 };
    const used = new Set<string>();
    for (const found of compositions.values()) {
      assert.ok('value' in found, JSON.stringify(found));
      for (const { source } of found.value.components) used.add(source.replace('components/', ''));
      const bare = { agent_id: 'ann', topic: 'tea or coffee' };
      const full = {
        ...bare,
        context: 'It rains.',
        capabilities_text: 'a, b',
        enable_tools: true,
        agent_tools: ['spawn'],
        participants: 'bob',
        max_turns: 6,
        moderator: 'mo',
      };
      for (const context of [
        bare,
        full,
        ...[1, 2, 3, 4].map((agent_number) => ({ ...full, agent_number })),
        ...['moderator', 'teacher', 'student', 'critic'].map((agent_role) => ({ ...full, agent_role })),
      ]) {
        const { valid, unresolved, issues } = await validate(found.value, context, composing);
        assert.deepEqual([valid, unresolved, issues], [true, undefined, undefined], found.name);
      }
    }
    assert.deepEqual([...used].toSorted(), await library.components(), 'no component is left over');
    for (const found of profiles.values()) {
      assert.ok('value' in found, JSON.stringify(found));
      assert.ok(compositions.has(found.value.composition ?? ''), found.name);
    }
    for (const mode of ['debate', 'collaboration', 'teaching', 'brainstorm', 'analysis'])
      assert.ok(compositions.has(`conversation_${mode}`));
    const { composition: chosen } = choiceOf(ranked(await library.choosable(), { role: 'tester' }));
    assert.equal(chosen, 'tester');
    assert.equal(choiceOf(ranked(await library.choosable(), { role: 'astronaut', task: 'xyzzy' })).fallback, true);
  });

  it('gives each participant of a conversation its part by role or number', async () => {
    const library = new PromptLibrary({ own: undefined, ownProfiles: undefined, log: silent });
    const composing = { component: (source: string) => library.component(source), mostChars: 100_000 };
    const compositions = await library.compositions();
    const parts = async (mode: string, context: Record<string, unknown>): Promise<string> => {
      const found = compositions.get(`conversation_${mode}`);
      assert.ok(found !== undefined && 'value' in found);
      const { components } = await compose(found.value, { agent_id: 'a', topic: 't', ...context }, composing);
      const common = ['identity', 'frame', 'human', 'honesty', 'signals', 'ending', 'debater', 'together'];
      return components.filter((name) => !common.includes(name)).join(' ');
    };
    for (const [mode, expected] of [
      ['debate', ['for', 'against', 'other', 'other']],
      ['collaboration', ['', '', '', '']],
      ['teaching', ['teacher', 'student', 'student', 'student']],
      ['brainstorm', ['create', 'create', 'criticise', 'criticise']],
      ['analysis', ['analyst', 'researcher', 'researcher', 'researcher']],
    ] as const)
      for (const agent_role of [undefined, 'general'])
        for (const [index, part] of expected.entries()) {
          const role = agent_role === undefined ? {} : { agent_role };
          assert.equal(await parts(mode, { ...role, agent_number: index + 1 }), part, `${mode} ${index + 1}`);
          assert.equal(await parts(mode, { agent_role: 'moderator', agent_number: index + 1 }), 'moderator', mode);
        }
    for (const [mode, agent_role, part] of [
      ['debate', 'against', 'against'],
      ['teaching', 'learner', 'student'],
      ['brainstorm', 'critic', 'criticise'],
      ['analysis', 'analyst', 'analyst'],
    ] as const)
      assert.equal(await parts(mode, { agent_role }), part, `${mode} ${agent_role}`);
  });

  it("is overridden by the operator's files, which are reloaded when they change", async () => {
    const own = await mkdtemp(join(tmpdir(), 'ksi-prompts-'));
    try {
      await mkdir(join(own, 'compositions'));
      await mkdir(join(own, 'components'));
      const file = (name: string) => join(own, 'compositions', name);
      await writeFile(file('tester.yaml'), 'components: [{name: x, source: components/x.md}]\ndescription: mine');
      await writeFile(file('bad.yaml'), 'components: 3');
      await writeFile(file('.hidden.yaml'), 'components: []');
      await writeFile(join(own, 'components/x.md'), 'X');
      const library = new PromptLibrary({ own, ownProfiles: undefined, log: silent });
      const first = await library.compositions();
      const mine = first.get('tester');
      assert.ok(mine !== undefined && 'value' in mine);
      assert.deepEqual([mine.origin, mine.value.description], ['own', 'mine']);
      assert.match(JSON.stringify(first.get('bad')), /problem.*components/);
      assert.equal(first.has('.hidden'), false);
      assert.equal(first.get('coder')?.origin, 'library');
      assert.deepEqual(
        (await library.choosable()).map(({ name }) => name),
        ['tester'],
        'his are chosen among, if he has any',
      );
      assert.equal(await library.component('components/x.md'), 'X');
      assert.match(await library.component('components/common/honesty.md'), /gap/);
      await writeFile(file('bad.yaml'), 'components: []');
      await rm(file('tester.yaml'));
      library.reload();
      const second = await library.compositions();
      assert.ok('value' in (second.get('bad') ?? {}));
      assert.equal(second.get('tester')?.origin, 'library');
    } finally {
      await rm(own, { recursive: true });
    }
  });
});

describe('a key of shared state', () => {
  it('has a unique token, whatever its characters', () => {
    assert.equal(keyToken('my_key-1'), 'my_key-1');
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme', maxLength: 60 }), (text) => {
        const token = keyToken(text);
        assert.match(token, /^[A-Za-z0-9_-]+$/);
        assert.equal(keyOfToken(token), text);
      }),
    );
    assert.equal(keyOfToken(keyToken('--YQ')), '--YQ');
  });
});
