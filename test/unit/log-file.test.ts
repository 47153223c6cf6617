import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, symlink, truncate, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { LogFile } from '../../src/process/log-file.js';

describe('a log file', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-log-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('follows a rename when it is reopened, and a truncation at once', async () => {
    const path = join(dir, 'rotated.log');
    const log = new LogFile(path);
    log.write('one\n');
    await rename(path, `${path}.1`);
    log.reopen();
    log.write('two\n');
    assert.equal(await readFile(`${path}.1`, 'utf8'), 'one\n');
    assert.equal(await readFile(path, 'utf8'), 'two\n');
    await truncate(path, 0);
    log.write('three\n');
    assert.equal(await readFile(path, 'utf8'), 'three\n');
  });

  it(
    'survives a full disk, and then reports how many lines were dropped',
    { skip: process.platform !== 'linux' },
    async () => {
      const path = join(dir, 'full.log');
      await symlink('/dev/full', path);
      const log = new LogFile(path);
      log.write('one\n');
      log.write('two\n');
      await unlink(path);
      log.reopen();
      log.write('three\n');
      assert.match(await readFile(path, 'utf8'), /^\{.*"2 log lines could not be written \(ENOSPC\)"\}\nthree\n$/);
    },
  );
});
