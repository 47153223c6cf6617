import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { executableFault } from '../../workers/claude/executable.js';
import { startOf } from '../../workers/claude/start-failure.js';
import { OutputTail } from '../../workers/claude/output-tail.js';

describe('the claude executable', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-executable-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const program = async (name: string, content: string | Buffer, mode = 0o755): Promise<string> => {
    await writeFile(join(dir, name), content, { mode });
    return join(dir, name);
  };
  const codeOf = async (path: string): Promise<string | undefined> => (await executableFault(path))?.spawnError?.code;

  it('is accepted if it can be run', async () => {
    assert.equal(await executableFault(process.execPath), undefined);
    assert.equal(await executableFault(await program('script', '#! /bin/sh -e\n')), undefined);
    assert.equal(await executableFault(await program('script.mjs', '', 0o644)), undefined, 'node runs it');
  });

  it('is refused with the reason if not', async () => {
    const here = process.execPath;
    await mkdir(join(dir, 'folder'));
    await mkdir(join(dir, 'folder.mjs'));
    await copyFile(here, join(dir, 'cut'));
    await truncate(join(dir, 'cut'), 1_000_000);
    const other = await readFile('/bin/sh');
    const interpreter = other.indexOf('/lib');
    if (interpreter !== -1) {
      other.write('/LIB', interpreter);
      assert.equal(await codeOf(await program('linker', other)), 'ENOENT', 'its dynamic linker is missing');
    }
    const table = [
      [join(dir, 'missing'), 'ENOENT'],
      [join(dir, 'folder'), 'EISDIR'],
      [join(dir, 'folder.mjs'), 'EISDIR'],
      [join(here, 'claude'), 'ENOTDIR'],
      [await program('no-mode', '#!/bin/sh\n', 0o644), 'EACCES'],
      [await program('no-interpreter', '#!/no/such/interpreter\n'), 'ENOENT'],
      [await program('folder-interpreter', `#!${dir}\n`), 'EISDIR'],
      [await program('text', 'echo hello\n'), 'ENOEXEC'],
      [await program('empty', ''), 'ENOEXEC'],
      [await program('elf', Buffer.from('\u007fELF and no more')), 'ENOEXEC'],
      [join(dir, 'cut'), 'ENOEXEC'],
    ] as const;
    for (const [path, code] of table) assert.equal(await codeOf(path), code, path);
  });

  it('reports the reason if it fails to start inside its containment', () => {
    const failureFor = (stderr: string, code: number, stdout = ''): ReturnType<typeof startOf> => {
      const [stderrTail, stdoutTail] = [stderr, stdout].map((text) => {
        const tail = new OutputTail();
        tail.add(Buffer.from(text));
        return tail;
      }) as [OutputTail, OutputTail];
      return startOf({ spawnError: undefined, stderrTail, stdoutTail }, { code, signal: null }, '/x/claude');
    };
    for (const [stderr, code] of [
      ['env: ‘/x/claude’: Permission denied\n', 126],
      ['env: ‘/x/claude’: No such file or directory\n', 127],
      ['sh: 1: /x/claude: Exec format error\n', 126],
      ['/x/claude: 1: ELF: not found\n', 127],
    ] as const)
      assert.deepEqual(failureFor(stderr, code).spawnError?.message, stderr.trim());
    for (const [stderr, short] of [
      ['bwrap: Creating new namespace failed: Resource temporarily unavailable\n', /ulimit -u/],
      ['sh: 1: Cannot fork\n', /ulimit -u/],
      ['bwrap: Creating new namespace failed: No space left on device\n', /disk|namespaces/],
      ['unshare: unshare failed: Cannot allocate memory\n', /memory/],
      ['bwrap: open /proc: Too many open files\n', /ulimit -n/],
    ] as const)
      assert.match(failureFor(stderr, 1).shortage ?? '', short);
    assert.deepEqual(failureFor('env: something\n', 1), {});
    assert.deepEqual(failureFor('sh: 1: x: not found\n', 127, '{"type":"system"}'), {}, 'Claude had begun');
    assert.deepEqual(failureFor('Cannot allocate memory\n', 1), {}, 'Claude said so, not what contains it');
  });

  it('the messages match those of the programs on this machine', { skip: process.platform !== 'linux' }, async () => {
    const foreign = await readFile('/bin/true');
    // Of a machine that nobody has.
    foreign.writeUInt16LE(0x5f5f, 18);
    const path = await program('foreign', foreign);
    assert.equal(await executableFault(path), undefined, 'the kernel may know how to run it');
    const { stderr, status } = ((): { stderr: string; status: number } => {
      try {
        execFileSync('env', [path], { stdio: 'pipe' });
      } catch (error) {
        return error as { stderr: string; status: number };
      }
      return assert.fail('it was run');
    })();
    const stderrTail = new OutputTail();
    stderrTail.add(Buffer.from(stderr));
    const exit = { code: status, signal: null };
    const { spawnError } = startOf({ spawnError: undefined, stderrTail, stdoutTail: new OutputTail() }, exit, path);
    assert.ok(spawnError?.message.includes(path), stderr);
  });
});
