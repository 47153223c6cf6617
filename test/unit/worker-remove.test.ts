import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { it } from 'node:test';
import { removeAll } from '../../workers/claude/remove.js';
import { cannotPin, pin, unpin } from '../fixtures/pin.js';

const ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;

/** Removes `path` as an ordinary user: root may write into any folder. */
async function removeAsUser(path: string): Promise<void> {
  if (!ROOT) return void (await removeAll(path));
  // That user may not read this checkout.
  const copy = join(path, '..', 'remove.mjs');
  await copyFile(join(import.meta.dirname, '../../workers/claude/remove.js'), copy);
  const module = pathToFileURL(copy).href;
  const script = `import(${JSON.stringify(module)}).then(({ removeAll }) => removeAll(${JSON.stringify(path)}))`;
  const user = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
  const { status, stderr } = spawnSync('setpriv', [...user, process.execPath, '-e', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

/** Whatever a run may leave behind, below `place`, which links to `outside`. */
async function leaveAll(place: string, outside: string): Promise<void> {
  const cache = join(place, 'go/pkg/mod/x');
  await mkdir(cache, { recursive: true });
  await writeFile(join(cache, 'f'), '');
  await symlink(outside, join(cache, 'link'));
  spawnSync('mkfifo', [join(place, 'fifo')]);
  // A path longer than the kernel takes can be made only piece by piece.
  spawnSync('sh', ['-c', 'n=$(printf "%0200d" 0); for i in $(seq 40); do mkdir $n; cd -P $n; done'], { cwd: place });
  const many = join(place, 'many');
  await mkdir(many);
  spawnSync('sh', ['-c', 'seq 2000 | xargs touch; mkdir d; cd d; seq 200 | xargs mkdir'], { cwd: many });
  // A name that is no UTF-8, which no text can stand for.
  await writeFile(Buffer.concat([Buffer.from(join(place, 'not-utf8-')), Buffer.from([0xff, 0xfe])]), '');
  if (ROOT) spawnSync('chown', ['-Rh', `${NOBODY}:${NOBODY}`, place]);
  await chmod(cache, 0o500);
  await chmod(join(place, 'go'), 0);
}

for (const [who, remove] of [
  ['as it runs', removeAll],
  ['as an ordinary user', removeAsUser],
] as const)
  it(`leftover files of a run are removed, ${who}`, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-remove-'));
    const outside = await mkdtemp(join(tmpdir(), 'ksi-outside-'));
    try {
      await writeFile(join(outside, 'kept'), '');
      await chmod(outside, 0o755);
      if (ROOT) await chown(dir, NOBODY, NOBODY);
      const place = join(dir, 'home');
      await mkdir(place);
      await leaveAll(place, outside);
      await remove(place);
      assert.equal(existsSync(place), false);
      assert.deepEqual(await readdir(outside), ['kept'], 'links are not followed');
    } finally {
      spawnSync('rm', ['-rf', dir, outside]);
      await rm(outside, { recursive: true, force: true });
    }
  });

it('a file that cannot be removed is reported, and the others are removed', { skip: cannotPin }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'ksi-remove-'));
  const pinned = join(dir, 'a', 'pinned');
  try {
    for (const name of ['a', 'b']) {
      await mkdir(join(dir, name));
      for (let n = 0; n < 50; n++) await writeFile(join(dir, name, String(n)), '');
    }
    await writeFile(pinned, '');
    pin(pinned);
    assert.deepEqual(await removeAll(dir), [{ path: pinned, reason: 'EPERM' }]);
    assert.deepEqual([await readdir(dir), await readdir(join(dir, 'a'))], [['a'], ['pinned']]);
    unpin(pinned);
    assert.deepEqual(await removeAll(dir), []);
    assert.deepEqual(await removeAll(dir), [], 'it is gone already');
    assert.equal(existsSync(dir), false);
  } finally {
    if (existsSync(pinned)) unpin(pinned);
    await rm(dir, { recursive: true, force: true });
  }
});
