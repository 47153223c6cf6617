import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Identity } from '../../contracts/agents/identities.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { ProfilePage, ProfileView } from '../../contracts/agents/profiles.js';
import { readConfig } from '../../src/config/load.js';
import { startApi } from '../../src/api/start.js';
import { ApiLab, type Answer } from '../fixtures/api.js';
import { silent } from '../fixtures/connection.js';

describe('identities, profiles and prompts', () => {
  let dir: string;
  let lab: ApiLab;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-prompts-'));
    for (const folder of ['compositions', 'components', 'profiles']) await mkdir(join(dir, folder));
    await writeFile(
      join(dir, 'compositions/greet.yaml'),
      'version: 1.0\ncomponents: [{name: a, source: components/a.md, vars: {tone: kindly}}]\nrequired_context: {who: whom}\nmetadata: {category: tests, role: greeter}',
    );
    await writeFile(join(dir, 'compositions/gone.yaml'), 'components: [{name: a, source: components/none.md}]');
    await writeFile(join(dir, 'compositions/bad.yaml'), 'components: {}');
    await writeFile(join(dir, 'components/a.md'), 'Greet {{who}} {{tone}}.\n');
    await writeFile(join(dir, 'profiles/greeter.json'), '{"role": "greeter", "model": "haiku"}');
    await writeFile(join(dir, 'profiles/wrong.json'), '{"roel": "x"}');
    lab = await ApiLab.start({ KSI_PROMPTS: dir });
  });
  after(async () => {
    await lab.stop();
    await rm(dir, { recursive: true });
  });

  const ask = (method: string, path: string, body?: object): Promise<Answer> =>
    lab.request(path, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });

  it('an identity has what goes by its role, keeps what never changes, and goes', async () => {
    const made = await ask('POST', '/identities', { agent_id: 'ann-1234', role: 'teacher' });
    assert.equal(made.status, 201);
    const identity = made.body as unknown as Identity;
    assert.deepEqual([identity.display_name, identity.personality_traits.length], ['Teacher-1234', 4]);
    assert.equal((await ask('POST', '/identities', { agent_id: 'ann-1234' })).body['code'], 'identity_exists');
    for (const never of [{ identity_uuid: 'x' }, { agent_id: 'x' }, { created_at: 'x' }])
      assert.equal((await ask('PATCH', '/identities/ann-1234', never)).status, 400, JSON.stringify(never));
    const update = { display_name: 'Ann', stats: { tasks_completed: 3 }, preferences: { verbosity: 'terse' } };
    const changed = (await ask('PATCH', '/identities/ann-1234', update)).body as unknown as Identity;
    assert.deepEqual(changed, {
      ...identity,
      display_name: 'Ann',
      stats: { ...identity.stats, tasks_completed: 3 },
      preferences: { ...identity.preferences, verbosity: 'terse' },
      last_active: changed.last_active,
      revision: changed.revision,
    });
    await ask('POST', '/identities', { agent_id: 'bob' });
    const page = (await ask('GET', '/identities?limit=1')).body as { items: Identity[]; next_cursor: string };
    assert.deepEqual(
      page.items.map(({ agent_id: id }) => id),
      ['ann-1234'],
    );
    const next = (await ask('GET', `/identities?cursor=${page.next_cursor}`)).body as { items: Identity[] };
    assert.deepEqual(
      next.items.map(({ agent_id: id, display_name: name }) => [id, name]),
      [['bob', 'Agent-bob']],
    );
    assert.equal((await ask('DELETE', '/identities/ann-1234')).status, 204);
    assert.equal((await ask('GET', '/identities/ann-1234')).status, 404);
    const again = (await ask('POST', '/identities', { agent_id: 'ann-1234' })).body as unknown as Identity;
    assert.notEqual(again.identity_uuid, identity.identity_uuid);
  });

  it("a profile of one's own stands in the place of a file, until it is deleted", async () => {
    const file = (await ask('GET', '/profiles/greeter')).body as unknown as ProfileView;
    assert.deepEqual(file, { name: 'greeter', role: 'greeter', options: { model: 'haiku' }, origin: 'own' });
    const own = { role: 'own', options: { model: 'opus' }, agent_tools: ['shared'] };
    assert.equal((await ask('PUT', '/profiles/greeter', own)).body['origin'], 'api');
    assert.equal((await ask('GET', '/profiles/greeter')).body['role'], 'own');
    const { items: profiles, broken } = (await ask('GET', '/profiles')).body as unknown as ProfilePage;
    assert.deepEqual(
      profiles.filter(({ name }) => ['greeter', 'coder'].includes(name)).map(({ name, origin }) => [name, origin]),
      [
        ['coder', 'library'],
        ['greeter', 'api'],
      ],
    );
    assert.deepEqual([broken.length, broken[0]?.name], [1, 'wrong']);
    assert.equal(
      (await ask('PUT', '/profiles/greeter', { options: { permission_mode: 'bypassPermissions' } })).status,
      400,
    );
    assert.equal((await ask('PUT', '/profiles/v1.2', {})).status, 200);
    assert.equal((await ask('GET', '/profiles/v1.2')).body['name'], 'v1.2');
    assert.equal((await ask('DELETE', '/profiles/greeter')).status, 204);
    assert.equal((await ask('GET', '/profiles/greeter')).body['role'], 'greeter');
    assert.equal((await ask('DELETE', '/profiles/greeter')).status, 404, 'a file is not deleted');
    await writeFile(join(dir, 'profiles/greeter.json'), '{"role": "changed by hand"}');
    while ((await ask('GET', '/profiles/greeter')).body['role'] !== 'changed by hand');
  });

  it('compositions are listed, shown, validated, composed and chosen', async () => {
    const { body: list } = await ask('GET', '/compositions?category=tests');
    assert.deepEqual(list, {
      items: [
        {
          name: 'greet',
          version: '1.0',
          description: '',
          author: '',
          required_context: { who: 'whom' },
          metadata: { category: 'tests', role: 'greeter' },
          origin: 'own',
        },
      ],
      broken: [{ name: 'bad', problem: (list['broken'] as { problem: string }[])[0]?.problem }],
    });
    assert.deepEqual((await ask('GET', '/compositions/greet')).body['components'], [
      { name: 'a', source: 'components/a.md', vars: { tone: 'kindly' } },
    ]);
    const context = { who: 'Bob' };
    assert.deepEqual((await ask('POST', '/compositions/greet/compose', { context })).body, {
      prompt: 'Greet Bob kindly.',
      length: 17,
      composition: 'greet',
      components: ['a'],
      unresolved: [],
    });
    assert.deepEqual((await ask('POST', '/compositions/greet/validate', { context })).body, {
      valid: true,
      prompt_length: 17,
    });
    assert.deepEqual((await ask('POST', '/compositions/greet/validate', {})).body, {
      valid: false,
      missing_context: ['who'],
      required_context: { who: 'whom' },
    });
    const lacking = (await ask('POST', '/compositions/greet/compose', {})).body;
    assert.deepEqual(
      [lacking['code'], lacking['errors']],
      ['context_missing', [{ field: 'context.who', message: 'is required' }]],
    );
    for (const [name, status] of [
      ['bad', 422],
      ['gone', 422],
      ['never', 404],
      ['..%2f..%2fetc', 400],
    ] as const)
      assert.equal((await ask('POST', `/compositions/${name}/compose`, { context })).status, status, name);
    assert.deepEqual((await ask('POST', '/compositions/gone/validate', {})).body, {
      valid: false,
      issues: { missing_components: ['components/none.md'] },
    });
    const chosen = (await ask('POST', '/compositions/select', { role: 'greeter' })).body;
    assert.deepEqual([chosen['composition'], chosen['score'], chosen['fallback']], ['greet', 30, false]);
    const fallback = (await ask('POST', '/compositions/select', { role: 'tester' })).body;
    assert.deepEqual([fallback['composition'], fallback['fallback']], ['claude_agent_default', true]);
    const { body: components } = await ask('GET', '/components?directory=components/roles');
    assert.ok((components['items'] as string[]).includes('roles/coder.md'));
  });

  it('are to be had over NATS too', async () => {
    const call = async (verb: string, body: object): Promise<Record<string, unknown>> =>
      (await lab.broker.nc.request(SUBJECT.apiVerb(verb), JSON.stringify(body))).json();
    const composed = await call('composition_compose', { name: 'greet', context: { who: 'Eve' } });
    assert.equal(composed['prompt'], 'Greet Eve kindly.');
    const { revision } = await call('shared_set', { key: 'by/nats', value: [1] });
    assert.equal((await call('shared_set', { key: 'by/nats', value: 2, revision: 0 }))['code'], 'revision_mismatch');
    assert.deepEqual((await ask('GET', '/shared/by%2Fnats')).body['revision'], revision);
    assert.equal((await call('profile_set', { name: 'n', role: 'x' }))['origin'], 'api');
    assert.equal((await call('identity_create', { agent_id: 'nats' }))['display_name'], 'Agent-nats');
  });

  it('a folder that there is not is told at the start', async () => {
    const config = readConfig({ KSI_DIR: dir, KSI_NATS_URL: lab.server.url, KSI_PORT: '1', KSI_PROMPTS: '/none/such' });
    const starting = startApi({ config, token: 'x', version: '0', log: silent, signal: new AbortController().signal });
    await assert.rejects(starting, /KSI_PROMPTS="\/none\/such"/);
  });
});
