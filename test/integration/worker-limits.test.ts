import assert from 'node:assert/strict';
import { mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findContainment, GROUP_ONLY } from '../../workers/claude/containment.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

describe('what a task may take', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start({ KSI_TASK_MEMORY_MB: '200', KSI_TASK_OUTPUT_MB: '1' });
  });
  after(() => lab.stop());

  it('is so much memory, its children counted', { skip: process.platform !== 'linux' }, async () => {
    for (const containment of [GROUP_ONLY, await findContainment()]) {
      const { worker } = await lab.worker({ containment });
      const { taskId } = await lab.post('[[eat:400]]');
      const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.deepEqual([error.code, error.retryable], ['memory_limit', false]);
      const small = await lab.post('[[sleep:1500]]');
      dataOf('SPAWN_COMPLETE', await lab.outcome(small.taskId));
      await worker.stop();
    }
  });

  it('is so much output', async () => {
    await lab.worker();
    const { taskId } = await lab.post('[[messages:4000]][[hang]]');
    const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.deepEqual([error.code, error.retryable], ['output_limit', false]);
  });
});

describe('how Claude is started', () => {
  let lab: WorkerLab;
  let base: string;
  before(async () => {
    base = await realpath(await mkdtemp(join(tmpdir(), 'ksi-limits-')));
    await mkdir(join(base, 'root', 'sub'), { recursive: true });
    await symlink('/etc', join(base, 'root', 'etc'));
    lab = await WorkerLab.start({ KSI_WORKSPACES: `root=${join(base, 'root')}` });
    await lab.worker({ env: { PATH: process.env['PATH'] ?? '', KSI_TOKEN: 'not-for-claude', SECRET_OF_SHELL: 'x' } });
  });
  after(async () => {
    await lab.stop();
    await rm(base, { recursive: true, force: true });
  });

  const started = async (
    command: Record<string, unknown> = {},
  ): Promise<{ argv: string[]; env: Record<string, string>; cwd: string }> => {
    const { taskId } = await lab.post('[[started]] --a-flag', { command });
    const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    return JSON.parse(String(output?.['result'])) as { argv: string[]; env: Record<string, string>; cwd: string };
  };

  it('with the prompt nowhere in its arguments or environment', async () => {
    const { argv, env } = await started();
    assert.ok(!JSON.stringify({ argv, env }).includes('--a-flag'));
  });

  it('with an environment that is the same whatever is asked', async () => {
    const plain = await started();
    // Fields that no request can have; a command from elsewhere neither.
    const asked = await started({ env: { LD_PRELOAD: '/tmp/x.so' }, model: 'opus', allowed_tools: ['Bash(env:*)'] });
    assert.deepEqual(Object.keys(asked.env).toSorted(), Object.keys(plain.env).toSorted());
    for (const name of ['LD_PRELOAD', 'KSI_TOKEN', 'SECRET_OF_SHELL', 'NODE_OPTIONS', 'KSI_NATS_CREDENTIALS'])
      assert.ok(!(name in asked.env), name);
  });

  it('in the folder that was named, and in no other', async () => {
    assert.equal((await started({ workspace: 'root/sub' })).cwd, join(base, 'root', 'sub'));
    for (const workspace of ['root/etc', 'root/../..', 'other', '/etc']) {
      const { taskId } = await lab.post('[[started]]', { command: { workspace, policy: { max_attempts: 1 } } });
      assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(taskId)).error.code, 'workspace_unavailable', workspace);
    }
  });

  it('ends a process that only notes things after its result', async () => {
    const { taskId } = await lab.post('[[stay]]', { command: { policy: { timeout_s: 60, max_attempts: 1 } } });
    const { timestamp } = await lab.event('SPAWN_START', taskId);
    const outcome = await lab.outcome(taskId);
    dataOf('SPAWN_COMPLETE', outcome);
    // Its time alone would end it, too.
    assert.ok(Date.parse(outcome.timestamp) - Date.parse(timestamp) < 60_000);
  });
});
