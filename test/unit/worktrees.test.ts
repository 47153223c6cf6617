import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { Worktrees, worktreesIn } from '../../workers/claude/worktrees.js';
import { silent } from '../fixtures/connection.js';

const state = (worktreePath: unknown, more: object = {}): Record<string, unknown> => ({
  type: 'worktree-state',
  worktreeSession: { worktreePath, ...more },
});

describe('the worktrees of a session', () => {
  let folder: string;
  let repository: string;
  let place: string;
  let worktrees: Worktrees;
  const git = (...args: string[]): string => {
    const as = ['-c', 'user.name=x', '-c', 'user.email=x@example.org'];
    return execFileSync('git', ['-C', repository, ...as, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  };
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'ksi-worktrees-')));
    repository = join(folder, 'site');
    place = join(repository, '.claude', 'worktrees');
    for (const each of [repository, join(folder, 'ksi', 'deleted')]) await mkdir(each, { recursive: true });
    git('init', '-q');
    git('commit', '-q', '--allow-empty', '-m', 'x');
  });
  after(() => rm(folder, { recursive: true, force: true }));
  beforeEach(() => (worktrees = new Worktrees(join(folder, 'ksi'), silent)));

  const add = async (name: string): Promise<string> => {
    git('worktree', 'add', '-q', '-b', `${name}-${uuidv4()}`, join(place, name));
    await writeFile(join(place, name, 'new'), 'x');
    return join(place, name);
  };
  const remove = async (sessionId: string): Promise<number> => {
    const asides = await worktrees.setAside(sessionId);
    for (const aside of asides) assert.deepEqual(await aside.remove(), []);
    return asides.length;
  };
  const noted = async (): Promise<string[]> => (await worktrees.sessions()).map(({ sessionId }) => sessionId);

  it('are those that the session or a subagent created according to the transcript', () => {
    assert.deepEqual(
      worktreesIn([
        state('/w/.claude/worktrees/a'),
        { type: 'agent_metadata', worktreePath: '/w/.claude/worktrees/agent-1' },
        state('/w/.claude/worktrees/b', { enteredExisting: true }),
        state('/w/elsewhere'),
        state('/w/.claude/worktrees/..'),
        state(7),
        { type: 'worktree-state', worktreeSession: null },
        { type: 'agent_metadata' },
        { type: 'user', worktreePath: '/w/.claude/worktrees/c' },
      ]),
      ['/w/.claude/worktrees/a', '/w/.claude/worktrees/agent-1'],
    );
  });

  it('are removed with the session and unregistered, and their branches stay', async () => {
    const id = uuidv4();
    const path = await add('one');
    worktrees.note(id, repository, [state(path)]);
    worktrees.note(id, repository, [state(path)]);
    assert.deepEqual(await noted(), [id]);
    assert.equal(await remove(id), 1);
    assert.ok(!existsSync(path));
    assert.ok(!git('worktree', 'list').includes('one'));
    assert.match(git('branch'), /one-/);
    assert.deepEqual(await noted(), []);
    assert.equal(await remove(id), 0);
  });

  it('are not recorded if the run could only read', async () => {
    const path = await add('foreign');
    const docs = join(repository, 'docs');
    for (const workspace of [docs, join(folder, 'other')]) worktrees.note(uuidv4(), workspace, [state(path)]);
    assert.deepEqual(await noted(), []);
  });

  it('stay while another session works in them', async () => {
    const [one, two] = [uuidv4(), uuidv4()];
    const path = await add('shared');
    for (const id of [one, two]) worktrees.note(id, repository, [state(path)]);
    assert.equal(await remove(one), 0);
    assert.ok(existsSync(path));
    assert.equal(await remove(two), 1);
    assert.ok(!existsSync(path));
  });

  it('are not confused with later folders of the same name, or with links in their path', async () => {
    const id = uuidv4();
    const path = await add('again');
    worktrees.note(id, repository, [state(path)]);
    git('worktree', 'remove', '--force', path);
    const later = await add('again');
    assert.equal(await remove(id), 0);
    assert.ok(existsSync(later));
    worktrees.note(id, repository, [state(later)]);
    await rename(place, join(folder, 'moved'));
    await symlink(join(folder, 'moved'), place);
    assert.equal(await remove(id), 0);
    assert.ok(existsSync(join(folder, 'moved', 'again', 'new')));
    await rm(place);
    await rename(join(folder, 'moved'), place);
  });

  it('are removed in place if they cannot be moved away', async () => {
    const id = uuidv4();
    const path = await add('here');
    worktrees.note(id, repository, [state(path)]);
    await rename(join(folder, 'ksi', 'deleted'), join(folder, 'ksi', 'away'));
    const [aside] = await worktrees.setAside(id);
    assert.equal(aside?.path, path);
    assert.deepEqual(await noted(), [id], 'a worker that ends now finds it again');
    assert.deepEqual(await aside?.remove(), []);
    assert.ok(!existsSync(path));
    assert.deepEqual(await noted(), []);
    await rename(join(folder, 'ksi', 'away'), join(folder, 'ksi', 'deleted'));
  });

  it('do not fail the run if they cannot be recorded', async () => {
    await writeFile(join(folder, 'file'), '');
    new Worktrees(join(folder, 'file'), silent).note(uuidv4(), repository, [state(await add('lost'))]);
  });
});
