import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoredEvent } from '../../contracts/events/events.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { workerMarker } from '../../workers/claude/contained-launcher.js';
import { processesTagged } from '../../src/process/tagged-processes.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
/** Whose place it was started for: KSI_CONCURRENCY of them come first. */
const WHERE = '[[tool:Bash {"command":"echo place=$(basename $(dirname $HOME)) beside=$(ls ..); touch made"}]] where?';
const SLOTS = 2;

describe('a claude that was started before', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let messages: MessagesStandin;
  let worker: Awaited<ReturnType<WorkerLab['worker']>>['worker'];
  before(async () => {
    messages = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({
      KSI_CLAUDE_BIN: CLAUDE_REAL ?? '',
      KSI_WARM: '1',
      KSI_CONCURRENCY: String(SLOTS),
    });
    const env = { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    ({ worker } = await lab.worker({ env, containment }));
  });
  after(async () => {
    await lab.stop();
    await messages.stop();
  });

  const messagesOf = (taskId: string): Record<string, unknown>[] =>
    lab
      .of(taskId)
      .filter((event): event is StoredEvent<'SPAWN_MESSAGE'> => event.type === 'SPAWN_MESSAGE')
      .map(({ data }) => data.message as Record<string, unknown>);
  const run = async (command: Record<string, unknown>, sessionId?: string) => {
    const posted = await lab.post(WHERE, { command, ...(sessionId === undefined ? {} : { sessionId }) });
    const { output, usage } = dataOf('SPAWN_COMPLETE', await lab.outcome(posted.taskId));
    const messagesJson = JSON.stringify(messagesOf(posted.taskId));
    const place = Number(/place=(\d+)/.exec(messagesJson)?.[1] ?? -1);
    return { ...posted, output: output ?? {}, usage, said: messagesJson, place };
  };
  /** Until one waits again. */
  const warm = async (): Promise<void> => {
    while (worker.warm === 0) await sleep(20);
  };
  const BASH = { allowed_tools: ['Bash(echo:*)', 'Bash(basename:*)', 'Bash(dirname:*)', 'Bash'] };

  it('does the task of a new session as one that is started for it, under the session’s own id', async () => {
    await warm();
    const first = await run(BASH);
    assert.ok(first.place >= SLOTS, `it ran in place ${first.place}`);
    assert.equal(first.output['session_id'], first.sessionId);
    assert.deepEqual([...new Set(messagesOf(first.taskId).map((each) => each['session_id']))], [first.sessionId]);
    assert.match(first.said, new RegExp(`"cwd":"[^"]*/workspaces/${first.sessionId}"`));
    if (containment.kind === 'sandbox') assert.match(first.said, new RegExp(`beside=${first.sessionId}\\W`));
    assert.deepEqual(await readdir(join(lab.dir, 'workspaces', first.sessionId)), ['made']);
    assert.ok((first.usage?.cost_usd ?? 0) > 0);
    const second = await run(BASH, first.sessionId);
    assert.ok(second.place < SLOTS, 'a session that is resumed has a process of its own');
    const lastRequest = messages.requests.findLast(
      ({ conversation }) => conversation?.prompts.at(-1)?.includes('where?') === true,
    );
    assert.equal(lastRequest?.conversation?.prompts.length, 2);
    const sum = (first.usage?.cost_usd ?? 0) + (second.usage?.cost_usd ?? 0);
    assert.ok(Math.abs(sum - Number(second.output['total_cost_usd'])) < 1e-9);
  });

  it('may do no more than another', async () => {
    await warm();
    const { output, place } = await run({});
    assert.equal(place, -1);
    assert.equal((output['permission_denials'] as unknown[]).length, 1);
  });

  it('is left alone by a task that asks for what it was not started with', async () => {
    await warm();
    assert.ok((await run({ ...BASH, append_system_prompt: 'Be brief' })).place < SLOTS);
    assert.ok((await run({ ...BASH, model: 'opus' })).place >= SLOTS, 'the model can still be chosen');
  });

  it('leaves what an earlier attempt of the session has made', async () => {
    await warm();
    const sessionId = randomUUID();
    await mkdir(join(lab.dir, 'workspaces', sessionId));
    await writeFile(join(lab.dir, 'workspaces', sessionId, 'earlier'), '');
    assert.ok((await run(BASH, sessionId)).place < SLOTS);
    assert.deepEqual((await readdir(join(lab.dir, 'workspaces', sessionId))).toSorted(), ['earlier', 'made']);
  });

  it('is gone with its worker', async () => {
    await warm();
    await worker.stop();
    assert.deepEqual(processesTagged(workerMarker(worker.id)), []);
    assert.ok(!existsSync(join(lab.dir, 'workers', worker.id)));
  });
});
