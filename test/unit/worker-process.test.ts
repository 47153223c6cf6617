import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { ContainedLauncher } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { ClaudeProcess } from '../../workers/claude/process.js';

const launcher = {
  contain: (invocation: object, env: object) => ({ ...invocation, env, started: () => () => undefined }),
} as unknown as ContainedLauncher;

it('a process that leaves a process of another user behind ends normally, and its worker continues', async (t) => {
  t.mock.method(process, 'kill', () => {
    throw Object.assign(new Error('not yours'), { code: 'EPERM' });
  });
  const options = { command: 'true', args: [], env: {}, signal: new AbortController().signal };
  const claude = new ClaudeProcess(options, launcher, { cwd: '/', visible: [] }, () => undefined);
  assert.deepEqual(await claude.exited, { code: 0, signal: null });
  await claude.terminate(10);
});

it('processes are found only by a tag NAME=value, because an empty tag would match every process', () => {
  for (const tag of ['', 'KSI_WORKER', 'KSI_WORKER=', '=x']) assert.throws(() => processesTagged(tag), /NAME=value/);
  assert.deepEqual(processesTagged('KSI_TEST_MARKER=none'), []);
});
