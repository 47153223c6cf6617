import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Batcher, batchesOf, batchLength } from '../../src/broker/batcher.js';
import { isOpen } from '../../src/access/auth.js';
import { BrokerError } from '../../src/broker/errors.js';
import type { Publication, PublishAck, Publisher } from '../../src/broker/publish.js';

/** A broker that refuses what is marked, alone or in any batch. */
class FakePublisher {
  readonly calls: number[] = [];
  #seq = 0;

  async publish({ subject }: Publication): Promise<PublishAck> {
    this.calls.push(1);
    await new Promise(setImmediate);
    if (subject === 'bad') throw new BrokerError('conflict', 'refused');
    return { stream: 's', seq: ++this.#seq, duplicate: false };
  }

  async publishBatch(publications: readonly Publication[]): Promise<PublishAck> {
    this.calls.push(publications.length);
    await new Promise(setImmediate);
    if (publications.some(({ subject }) => subject === 'bad')) throw new BrokerError('conflict', 'refused whole');
    if (publications.some(({ subject }) => subject === 'away')) throw new BrokerError('unavailable', 'no answer');
    this.#seq += publications.length;
    return { stream: 's', seq: this.#seq, duplicate: false };
  }
}

const publication = (subject = 'good'): Publication => ({ subject, payload: 'x' });
const lab = (): { batcher: Batcher; fake: FakePublisher } => {
  const fake = new FakePublisher();
  return { fake, batcher: new Batcher(fake as unknown as Publisher) };
};

describe('the batcher', () => {
  it('publishes at once when alone', async () => {
    const { batcher, fake } = lab();
    assert.equal((await batcher.publish(publication())).seq, 1);
    assert.deepEqual(fake.calls, [1]);
  });

  it('publishes concurrent entries in one batch and returns the sequence of each', async () => {
    const { batcher, fake } = lab();
    const acks = await Promise.all(Array.from({ length: 50 }, () => batcher.publish(publication())));
    assert.deepEqual(
      acks.map(({ seq }) => seq),
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
    assert.deepEqual(fake.calls, [50]);
  });

  it('reports the fault of one entry to that entry only', async () => {
    const { batcher } = lab();
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) => batcher.publish(publication(index === 17 ? 'bad' : 'good'))),
    );
    assert.deepEqual(
      results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : [])),
      [17],
    );
  });

  it('does not resend entries that may have been stored', async () => {
    const { batcher, fake } = lab();
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => batcher.publish(publication('away'))));
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.deepEqual(fake.calls, [20]);
  });

  it('continues after a failure', async () => {
    const { batcher } = lab();
    await assert.rejects(batcher.publish(publication('bad')));
    assert.equal((await batcher.publish(publication())).seq, 1);
  });

  it('splits lazily created entries by count and bytes', () => {
    const of = (count: number, bytes: number): number[] =>
      [...batchesOf(Array.from({ length: count }, () => ({ subject: 's', payload: new Uint8Array(bytes) })))].map(
        ({ length }) => length,
      );
    assert.deepEqual([of(0, 1), of(1, 9_000_000), of(1_200, 1)], [[], [1], [500, 500, 200]]);
    assert.deepEqual(of(10, 1_000_000), [4, 4, 2]);
  });

  it('limits a batch by count and bytes, but takes at least one entry', () => {
    assert.equal(batchLength(Array.from({ length: 2_000 }, () => ({ bytes: 1 }))), 500);
    assert.equal(batchLength([{ bytes: 9_000_000 }, { bytes: 1 }]), 1);
    assert.equal(batchLength([{ bytes: 3_000_000 }, { bytes: 3_000_000 }]), 1);
    assert.equal(batchLength([]), 0);
  });
});

describe('operations without a token', () => {
  it('are only the listed ones', () => {
    for (const path of ['/health', '/livez?x=1', '/docs', '/docs/static/index.html', '/openapi.json'])
      assert.equal(isOpen(path), true, path);
    for (const path of [
      '/',
      '/tasks',
      '/healthz',
      '/health/',
      '/docs/../tasks',
      '/docs/%2e%2e/tasks',
      '/Docs',
      '/asyncapi.json',
      '/ui/index.html',
      '//health',
      '/metrics',
      '/events?x=/docs/',
    ])
      assert.equal(isOpen(path), false, path);
  });
});
