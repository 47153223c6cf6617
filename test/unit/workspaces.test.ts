import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ConfigError } from '../../src/config/error.js';
import { Workspaces } from '../../src/workspaces/roots.js';
import { folderOf } from '../../workers/attempt/folder.js';

describe('workspaces', () => {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'ksi-workspaces-')));
  after(() => rmSync(base, { recursive: true }));
  const root = join(base, 'site');
  mkdirSync(join(root, 'docs', 'a b'), { recursive: true });
  mkdirSync(join(root, '.git'));
  mkdirSync(join(base, 'secret'));
  writeFileSync(join(root, 'file'), '');
  symlinkSync(join(base, 'secret'), join(root, 'out'));
  symlinkSync(join(root, 'docs'), join(root, 'inner'));
  symlinkSync(root, join(base, 'link'));
  const workspaces = new Workspaces(`site=${root},link=${join(base, 'link')},gone=${join(base, 'gone')}`);

  for (const [requested, path] of [
    ['site', root],
    ['site/docs', join(root, 'docs')],
    ['site/docs/a b', join(root, 'docs', 'a b')],
    // The operator may name a link; what lies below it is another matter.
    ['link/docs', join(root, 'docs')],
  ] as const)
    it(`finds ${requested}`, async () => assert.deepEqual(await workspaces.find(requested), { kind: 'found', path }));

  for (const [named, name] of [
    ['site/docs', 'site/docs'],
    ['docs', 'site/docs'],
    ['docs/a b', 'site/docs/a b'],
    ['gone/x', 'gone/x'],
    ['other', undefined],
    ['/etc', undefined],
    ['site/../..', undefined],
  ] as const)
    it(`knows ${named} by one name`, async () => {
      const overlapping = new Workspaces(
        `docs=${root}/docs,site=${root},site2=${join(base, 'link')},gone=${join(base, 'gone')}`,
      );
      assert.equal(await overlapping.outermost(named), name);
      assert.equal(await overlapping.outermost('site2/docs'), 'site/docs');
    });

  for (const requested of [
    'other',
    'site/none',
    'site/file',
    'site/out',
    'site/out/x',
    'site/inner',
    'site/..',
    'site/../secret',
    'site/docs/../../secret',
    'site/.git',
    'site/',
    'site//docs',
    '/etc',
    '../secret',
    String.raw`site\..\secret`,
    'site/\0',
    'site/%2e%2e',
    '',
  ])
    it(`refuses ${JSON.stringify(requested)}`, async () =>
      assert.equal((await workspaces.find(requested)).kind, 'refused'));

  it('distinguishes a root that is missing on this host from a missing folder', async () => {
    assert.equal((await workspaces.find('gone')).kind, 'absent');
    assert.equal((await workspaces.find('gone/docs')).kind, 'absent');
  });

  it('refuses a root inside another root that was replaced by a link', async () => {
    mkdirSync(join(root, 'inner-root'));
    const nested = new Workspaces(`outer=${join(base, 'link')},inner=${join(base, 'link', 'inner-root')}`);
    assert.deepEqual(await nested.find('inner'), { kind: 'found', path: join(root, 'inner-root') });
    rmSync(join(root, 'inner-root'), { recursive: true });
    symlinkSync(join(base, 'secret'), join(root, 'inner-root'));
    assert.equal((await nested.find('inner')).kind, 'refused');
  });

  it('refuses two folders with the same name', () => assert.throws(() => new Workspaces('a=/x,a=/y'), ConfigError));

  describe('of a session', () => {
    const own = () => Promise.resolve('/own');
    const transcript = (
      bound?: string,
    ): { workspace: () => Promise<string | undefined>; bind: (to: string) => Promise<void>; bindings: string[] } => {
      const bindings: string[] = [];
      return { bindings, workspace: () => Promise.resolve(bound), bind: async (to) => void bindings.push(to) };
    };
    const task = (workspace?: string) => (workspace === undefined ? {} : { workspace });

    it('is fixed when the session begins', async () => {
      const site = { path: root, workspace: 'site' };
      const fresh = transcript();
      assert.deepEqual(await folderOf(task('site'), fresh, false, { own, workspaces }), site);
      assert.deepEqual(fresh.bindings, ['site']);
      const bound = transcript('site');
      assert.deepEqual(await folderOf(task(), bound, true, { own, workspaces }), site);
      assert.deepEqual(await folderOf(task('site'), bound, true, { own, workspaces }), site);
      assert.deepEqual(bound.bindings, []);
      assert.deepEqual(await folderOf(task(), transcript(), true, { own, workspaces }), {
        path: '/own',
        workspace: undefined,
      });
    });

    it('cannot be changed or removed', async () => {
      for (const [requested, bound] of [
        ['site/docs', 'site'],
        ['site', undefined],
      ] as const)
        await assert.rejects(folderOf(task(requested), transcript(bound), true, { own, workspaces }), {
          code: 'workspace_mismatch',
        });
      await assert.rejects(folderOf(task('site/out'), transcript(), false, { own, workspaces }), {
        code: 'workspace_unavailable',
      });
    });
  });
});
