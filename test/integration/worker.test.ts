import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import { v4 as uuidv4 } from 'uuid';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { Blobs } from '../../src/broker/blobs.js';
import { lastBySubject } from '../../src/broker/read.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const nOf = ({ data }: StoredEvent): number => (data as { n: number }).n;

describe('a worker with the stand-in executable', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start();
    await lab.worker();
  });
  after(() => lab.stop());

  it('runs a task to its outcome, with n without a gap, and takes it off the queue', async () => {
    const { taskId, sessionId } = await lab.post('hello [[messages:150]]');
    const outcome = await lab.outcome(taskId);
    assert.equal(outcome.type, 'SPAWN_COMPLETE');
    const events = lab.of(taskId);
    assert.deepEqual(
      events.map(({ type }) => type).filter((type) => type !== 'SPAWN_MESSAGE'),
      ['SPAWN_QUEUED', 'SPAWN_START', 'SPAWN_COMPLETE'],
    );
    const counted = events.slice(1).map(nOf);
    assert.deepEqual(
      counted,
      counted.map((_, index) => index + 1),
    );
    const messages = events.flatMap((event) => {
      const { message } = event.data as { message?: { message?: { content: { text: string }[] } } };
      return message?.message?.content.map(({ text }) => text) ?? [];
    });
    assert.deepEqual(
      messages.slice(0, 150),
      Array.from({ length: 150 }, (_, index) => `message ${index + 1}`),
    );
    assert.match(String(dataOf('SPAWN_COMPLETE', outcome).output?.['result']), /^You said: hello/);
    assert.ok(!messages.includes('result'));
    await queueEmpty(lab, sessionId);
  });

  it('stores what is too large for a message as a blob, in the command and in the outcome', async () => {
    const { taskId } = await lab.post(`${'x'.repeat(1_500_000)} [[size:2000000]]`);
    const outcome = await lab.outcome(taskId);
    const { ref, output } = dataOf('SPAWN_COMPLETE', outcome);
    assert.equal(output, undefined);
    assert.ok(ref !== undefined && ref.size > 2_000_000);
    const body = JSON.parse(Buffer.from(await new Blobs(lab.broker).get(ref)).toString()) as { result: string };
    assert.equal(body.result.length, 2_000_000);
  });

  it('refuses a session, and the origin of a fork, that another owner began', async () => {
    const sessionId = uuidv4();
    const entry = { type: 'user', uuid: uuidv4(), message: { role: 'user', content: 'SECRET' } };
    await lab.broker.publisher.publish({
      subject: SUBJECT.transcript(sessionId),
      payload: JSON.stringify({ v: FORMAT_VERSION, entries: [entry] }),
      headers: { [HEADER.owner]: 'ann' },
    });
    const asked = [
      { sessionId, command: {} },
      { sessionId: uuidv4(), command: { fork_of: sessionId } },
    ];
    for (const options of asked) {
      const { taskId } = await lab.post('hello', options);
      const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.equal(error.code, 'session_gone', error.message);
      const { all_owners, ...rest } = { all_owners: true, ...options.command };
      const seeing = await lab.post('hello', { ...options, command: { all_owners, ...rest } });
      assert.equal((await lab.outcome(seeing.taskId)).type, 'SPAWN_COMPLETE');
    }
  });

  it('runs the tasks of one session in order, one at a time', async () => {
    const { sessionId, taskId } = await lab.post('first [[sleep:100]]');
    const rest = [];
    for (let index = 0; index < 4; index++) rest.push((await lab.post(`later ${index}`, { sessionId })).taskId);
    const ids = [taskId, ...rest];
    await Promise.all(ids.map((id) => lab.outcome(id)));
    const states = lab.seen
      .toSorted((a, b) => a.seq - b.seq)
      .filter(({ event }) => event.type === 'SPAWN_START' || event.type === 'SPAWN_COMPLETE')
      .map(({ event }) => ({ type: event.type, task_id: (event.data as { task_id: string }).task_id }))
      .filter(({ task_id }) => ids.includes(task_id))
      .map(({ type, task_id }) => `${type} ${ids.indexOf(task_id)}`);
    assert.deepEqual(
      states,
      ids.flatMap((_, index) => [`SPAWN_START ${index}`, `SPAWN_COMPLETE ${index}`]),
    );
    await queueEmpty(lab, sessionId);
  });

  const failures: [string, string, string, Record<string, unknown>][] = [
    ['an error result inside a success', 'x [[error]]', 'claude_overloaded', { api_error_status: 529 }],
    ['a crash', 'x [[stderr:boom]] [[die:3]]', 'claude_crashed', { stderr: 'boom', exit_code: 3 }],
    ['an output without a result', 'x [[garbage]] [[no-result]]', 'claude_bad_output', { exit_code: 0 }],
  ];
  for (const [name, prompt, code, detail] of failures) {
    it(`ends ${name} in a SPAWN_ERROR ${code}`, async () => {
      const { taskId } = await lab.post(prompt, { command: { policy: { max_attempts: 1 } } });
      const outcome = await lab.outcome(taskId);
      const { error, n } = dataOf('SPAWN_ERROR', outcome);
      assert.equal(error.code, code);
      for (const [field, value] of Object.entries(detail)) assert.equal(error.detail?.[field], value, field);
      assert.ok(n > 1);
    });
  }

  it('goes on past garbage that a usable result follows', async () => {
    const { taskId } = await lab.post('x [[garbage]]');
    assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
  });

  it('ends a command that is not valid in a SPAWN_ERROR, and gives its session free', async () => {
    const { taskId, sessionId } = await lab.post('x', { command: { prompt: 7 } });
    const outcome = await lab.outcome(taskId);
    assert.match(dataOf('SPAWN_ERROR', outcome).error.message, /prompt/);
    await queueEmpty(lab, sessionId);
  });
});

/** Nothing of the session stands in the command stream, once the runs delivered so far have ended. */
async function queueEmpty(lab: WorkerLab, sessionId: string): Promise<void> {
  const starts = lab.seen.filter(({ event }) => event.type === 'SPAWN_START').length;
  await lab.until(() => lab.ends.length >= starts || undefined);
  assert.equal(await lastBySubject(lab.broker, STREAM.commands, SUBJECT.session(sessionId)), undefined);
}

describe('a worker without an executable', () => {
  it('says claude_not_found, and what to do', async () => {
    const lab = await WorkerLab.start({ KSI_CLAUDE_BIN: '/nowhere/claude' });
    try {
      await lab.worker();
      const { taskId } = await lab.post('x');
      const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.equal(error.code, 'claude_not_found');
      assert.match(error.message, /\/nowhere\/claude.*KSI_CLAUDE_BIN/);
    } finally {
      await lab.stop();
    }
  });
});
