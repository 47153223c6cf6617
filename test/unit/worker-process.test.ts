import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Keeper } from '../../workers/claude/keeper.js';
import { ClaudeProcess } from '../../workers/claude/process.js';

const keeper = {
  keep: (invocation: object, env: object) => ({ ...invocation, env, begun: () => () => undefined }),
} as unknown as Keeper;

it('a process that leaves something of another user’s behind ends like others, and its worker goes on', async (t) => {
  t.mock.method(process, 'kill', () => {
    throw Object.assign(new Error('not yours'), { code: 'EPERM' });
  });
  const options = { command: 'true', args: [], env: {}, signal: new AbortController().signal };
  const claude = new ClaudeProcess(options, keeper, { cwd: '/', visible: [] }, () => undefined);
  assert.deepEqual(await claude.exited, { code: 0, signal: null });
  await claude.terminate(10);
});
