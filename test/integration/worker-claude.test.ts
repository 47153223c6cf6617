import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnDelta } from '../../contracts/events/events.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;

describe('a worker with the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: MessagesStandin;
  let env: Record<string, string>;
  let hanging = true;
  before(async () => {
    api = await startMessagesStandin({
      deltaMs: 1,
      script: ({ prompts }) => (hanging ? undefined : prompts.at(-1)?.replace('[[hang:mid]]', '')),
    });
    env = { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', KSI_LEASE_S: '3', KSI_CONCURRENCY: '1' });
  });
  after(async () => {
    await lab.stop();
    await api.stop();
  });

  const denials = (output: Record<string, unknown> | undefined): number =>
    (output as { permission_denials: unknown[] }).permission_denials.length;
  const promptsOf = (marker: string): readonly string[] =>
    api.requests.findLast(({ conversation }) => conversation?.prompts.at(-1)?.includes(marker) === true)?.conversation
      ?.prompts ?? [];

  it('streams deltas, stores complete messages, and resumes the session on another worker', async () => {
    const texts: string[] = [];
    lab.broker.nc.subscribe(SUBJECT.liveAll, {
      callback: (_error, message) => void texts.push(message.json<SpawnDelta>().data.text),
    });
    const first = await lab.worker({ env, containment });
    const begun = await lab.post('-the word is KUMQUAT [[chars:2000]]');
    const output = dataOf('SPAWN_COMPLETE', await lab.outcome(begun.taskId)).output;
    assert.equal(output?.['subtype'], 'success');
    const messages = lab.of(begun.taskId).filter(({ type }) => type === 'SPAWN_MESSAGE');
    const kinds = messages.map(({ data }) => (data as { message: { type: string } }).message.type);
    assert.equal(kinds[0], 'system');
    assert.ok(kinds.includes('assistant') && !kinds.includes('stream_event') && !kinds.includes('result'));
    assert.equal(texts.join(''), output?.['result']);
    await first.worker.stop();

    // Another host has nothing but the broker's transcript.
    await rm(join(lab.dir, 'workspaces'), { recursive: true });
    const second = await lab.worker({ containment, env, config: { KSI_DIR: join(lab.dir, 'elsewhere') } });
    const resumed = await lab.post('what was it? MARK2', { sessionId: begun.sessionId });
    dataOf('SPAWN_COMPLETE', await lab.outcome(resumed.taskId));
    const prompts = promptsOf('MARK2');
    assert.equal(prompts.length, 2);
    assert.match(prompts[0] ?? '', /KUMQUAT/);
    await second.worker.stop();
  });

  it('runs a lost attempt again without doubling its prompt', async () => {
    const first = await lab.worker({ env, containment });
    const begun = await lab.post('one MARK-A');
    dataOf('SPAWN_COMPLETE', await lab.outcome(begun.taskId));
    const { taskId } = await lab.post('two MARK-B [[tool:Bash {"command":"echo hi"}]] [[hang:mid]]', {
      sessionId: begun.sessionId,
    });
    await api.waitFor(({ conversation }) => conversation?.prompts.at(-1)?.includes('MARK-B') === true);
    await first.worker.stop({ quick: true });
    assert.equal((await lab.event('SPAWN_RETRY', taskId)).data.reason, 'worker_drained');
    hanging = false;
    const second = await lab.worker({ env, containment });
    dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    assert.deepEqual(
      promptsOf('MARK-B').map((prompt) => prompt.match(/MARK-[AB]/)?.[0]),
      ['MARK-A', 'MARK-B'],
    );
    await second.worker.stop();
  });

  it('denies a tool that needs permission, and goes on', async () => {
    const { worker } = await lab.worker({ env, containment });
    const { taskId } = await lab.post('x [[tool:Bash {"command":"touch made"}]]');
    const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    assert.equal(denials(output), 1);
    const allowed = await lab.post('x [[tool:Bash {"command":"touch made"}]]', { allowedTools: ['Bash'] });
    const done = dataOf('SPAWN_COMPLETE', await lab.outcome(allowed.taskId));
    assert.equal(denials(done.output), 0);
    await worker.stop();
  });

  it('ends its turn when it is interrupted, and ends at all when it is cancelled', async () => {
    const { worker } = await lab.worker({ env, containment });
    const ends = { interrupt: 'SPAWN_ERROR', cancel: 'SPAWN_CANCELLED' };
    for (const [verb, type] of Object.entries(ends)) {
      const marker = `MARK-${verb}`;
      const { taskId } = await lab.post(`x ${marker} [[hang]]`);
      await api.waitFor(({ conversation }) => conversation?.prompts.at(-1)?.includes(marker) === true);
      const answer = await lab.broker.nc.request(SUBJECT.control(worker.process, taskId, verb), '{}', {
        timeout: 5_000,
      });
      assert.deepEqual(answer.json(), { ok: true });
      const outcome = await lab.outcome(taskId);
      assert.equal(outcome.type, type);
      if (type === 'SPAWN_ERROR') assert.equal(dataOf('SPAWN_ERROR', outcome).error.code, 'claude_interrupted');
    }
    await worker.stop();
  });

  it('says which credentials are missing or refused', async () => {
    const without = await lab.worker({ containment, env: { ANTHROPIC_BASE_URL: api.url } });
    const { taskId } = await lab.post('x');
    const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.equal(error.code, 'claude_no_credentials');
    assert.match(error.message, /ANTHROPIC_API_KEY/);
    await without.worker.stop();

    const refused = await lab.worker({ env, containment });
    const second = await lab.post('x [[status:401]]');
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(second.taskId)).error.code, 'claude_auth_failed');
    const third = await lab.post('x [[status:400]]');
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(third.taskId)).error.code, 'claude_invalid_request');
    await refused.worker.stop();
  });
});
