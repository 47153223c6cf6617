import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { ApiLab, type Answer } from '../fixtures/api.js';

/** The API looks again after a second; asks until it has. */
async function until(wanted: number, ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const answer = await ask();
    if (answer.status === wanted || performance.now() > deadline) return answer;
  }
}

function assertFull(answer: Answer): void {
  assert.equal(answer.status, 429);
  assert.equal(answer.body['code'], 'queue_full');
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
}

describe('back-pressure', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start({ KSI_QUEUES: 'a,b', KSI_QUEUE_MAX: '20', KSI_QUEUE_MAX_BYTES: '1048576' });
  });
  after(() => lab.stop());
  const post = (queue: string, more: object = {}): Promise<Answer> => lab.post({ prompt: 'x', queue, ...more });
  const cancel = async (id: unknown): Promise<void> => {
    assert.equal((await lab.request(`/tasks/${String(id)}/cancel`, { method: 'POST' })).status, 200);
  };

  it('refuses tasks for a queue at 90 % of its capacity, including waiting tasks, and for no other queue', async () => {
    const session = { session_id: uuidv4() };
    const answers = [];
    for (let n = 0; n < 18; n++) answers.push(await post('a', n % 2 === 0 ? session : {}));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    assertFull(await post('a'));
    assertFull(await post('a', session));
    assert.equal((await post('b')).status, 202);
    // What another API counts itself is the same.
    await lab.stopApi();
    await lab.startApi();
    assertFull(await post('a'));
    for (const { body } of answers) await cancel(body['task_id']);
    assert.equal((await until(202, () => post('a'))).status, 202, 'room again');
  });

  it('answers a repeated key even if the queue is full', async () => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
      body: JSON.stringify({ prompt: 'once', queue: 'b' }),
    };
    const first = await lab.request('/spawn', init);
    assert.equal(first.status, 202);
    let full = await post('b');
    while (full.status === 202) full = await post('b');
    assertFull(full);
    assert.deepEqual((await lab.request('/spawn', init)).body, first.body);
    assertFull(await lab.request('/spawn', { ...init, headers: { ...init.headers, 'idempotency-key': 'other' } }));
  });

  it('refuses all queues at 90 % of their bytes', async () => {
    const bytes = 300_000;
    const answers = [];
    for (let n = 0; n < 3; n++) answers.push(await post('a', { prompt: 'y'.repeat(bytes) }));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [202, 202, 202],
    );
    assertFull(await post('a', { prompt: 'y'.repeat(bytes) }));
    for (const { body } of answers) await cancel(body['task_id']);
    assert.equal((await until(202, () => post('a', { prompt: 'y'.repeat(bytes) }))).status, 202);
  });
});
