import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Folders } from '../../workers/claude/folders.js';

describe('the folder of a run', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-folders-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('contains nothing of the previous run, which may belong to another owner, and is empty afterwards', async () => {
    const folders = new Folders(dir, 'w_test', join(dir, 'login'));
    await folders.start();
    for (let run = 0; run < 2; run++) {
      const { config, home, tmp, mcpConfig } = await folders.slot(0);
      assert.deepEqual(await readdir(config), ['.credentials.json']);
      assert.equal(await readlink(join(config, '.credentials.json')), join(dir, 'login', '.credentials.json'));
      for (const folder of [home, tmp]) assert.deepEqual(await readdir(folder), []);
      for (const folder of [config, home, tmp]) assert.equal((await stat(folder)).mode & 0o777, 0o700);
      assert.equal(existsSync(mcpConfig), false);
      for (const file of [join(config, 'settings.json'), join(home, '.gitconfig'), join(tmp, 'x'), mcpConfig])
        await writeFile(file, '{}');
      if (run === 1) await folders.clear(0);
    }
    assert.deepEqual(await readdir(folders.own), ['owner.json', 'tmp']);
  });

  it('allows a run to write the login only if it may have to renew it', async () => {
    const login = await mkdtemp(join(tmpdir(), 'ksi-login-'));
    const folders = new Folders(dir, 'w_login', login);
    await folders.start();
    const expiring = (inMs: number): Promise<void> =>
      writeFile(
        join(login, '.credentials.json'),
        JSON.stringify({ claudeAiOauth: { expiresAt: Date.now() + inMs, accessToken: 'x', refreshToken: 'y' } }),
      );
    const hour = 3_600_000;
    await expiring(8 * hour);
    assert.equal((await folders.slot(0, hour)).login?.writable, false);
    assert.equal((await folders.slot(0, 8 * hour)).login?.writable, true);
    await expiring(-hour);
    assert.equal((await folders.slot(0, hour)).login?.writable, true);
    await rm(login, { recursive: true });
  });

  it('is never outside KSI_DIR, even if a run has replaced its workspace', async () => {
    const folders = new Folders(dir, 'w_test');
    await folders.start();
    const session = '01890a5d-ac96-774b-bcce-b302099a8057';
    const outside = await mkdtemp(join(tmpdir(), 'ksi-outside-'));
    const fresh = () => Promise.resolve(false);
    const forget = async () => (await folders.setAside(session))?.remove() ?? [];
    const workspace = await folders.workspace(session, fresh, forget);
    await writeFile(join(outside, 'kept'), '');
    for (const replace of [() => symlink(outside, workspace), () => writeFile(workspace, '')]) {
      await rm(workspace, { recursive: true });
      await replace();
      assert.equal(await folders.workspace(session, fresh, forget), workspace);
      assert.deepEqual(await readdir(workspace), []);
      assert.ok((await lstat(workspace)).isDirectory());
    }
    assert.deepEqual(await readdir(outside), ['kept'], 'the link was removed, not what it led to');
    await rm(outside, { recursive: true });
  });
});
