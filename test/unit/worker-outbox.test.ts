import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { newEvent } from '../../src/broker/events.js';
import { Journal } from '../../workers/journal/journal.js';
import { JournaledOutbox } from '../../workers/journal/journaled-outbox.js';
import { batchLength, MemoryOutbox, type OutboxItem } from '../../workers/journal/outbox.js';
import { systemClock } from '../../src/clock.js';

const item = (name: string, bytes = 1): OutboxItem => ({
  event: newEvent(systemClock, 'WORKER_OFFLINE', { worker_id: name }),
  publication: { subject: name, payload: '' },
  bytes,
});

/** A broker that stores a batch when told to. */
class Broker {
  readonly batches: string[][] = [];
  #acks: { resolve: () => void; reject: (error: Error) => void }[] = [];

  deliver = (batch: readonly OutboxItem[]): Promise<void> => {
    this.batches.push(batch.map(({ publication }) => publication.subject));
    return new Promise((resolve, reject) => this.#acks.push({ resolve, reject }));
  };

  async ack(error?: Error): Promise<void> {
    // What was just added is under way by then.
    await new Promise((resolve) => setImmediate(resolve));
    const ack = this.#acks.shift();
    if (error === undefined) ack?.resolve();
    else ack?.reject(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('MemoryOutbox', () => {
  it('sends the first event at once and collects later ones while it is in flight', async () => {
    const broker = new Broker();
    const outbox = new MemoryOutbox(broker.deliver);
    outbox.add(item('1'));
    await Promise.resolve();
    outbox.add(item('2'));
    outbox.add(item('3'));
    assert.deepEqual(broker.batches, [['1']]);
    await broker.ack();
    assert.deepEqual(broker.batches, [['1'], ['2', '3']]);
    const drained = outbox.drained();
    await broker.ack();
    await drained;
    outbox.add(item('4'));
    await Promise.resolve();
    assert.deepEqual(broker.batches.at(-1), ['4']);
    await broker.ack();
  });

  it('applies backpressure to writers until events are stored', async () => {
    const broker = new Broker();
    const outbox = new MemoryOutbox(broker.deliver, 10);
    outbox.add(item('1', 6));
    assert.equal(outbox.room(), undefined);
    outbox.add(item('2', 600_000));
    const room = outbox.room();
    assert.ok(room !== undefined);
    await broker.ack();
    await broker.ack();
    await room;
    assert.equal(outbox.room(), undefined);
  });

  it('delivers nothing after a failure, and reports it', async () => {
    const broker = new Broker();
    const outbox = new MemoryOutbox(broker.deliver, 1);
    outbox.add(item('1', 5));
    const room = outbox.room();
    outbox.add(item('2', 600_000));
    const fenced = new Error('fenced');
    await broker.ack(fenced);
    await room;
    outbox.add(item('3'));
    await assert.rejects(outbox.drained(), fenced);
    assert.deepEqual(broker.batches, [['1']]);
  });
});

describe('batchLength', () => {
  const sizes = (...bytes: number[]): { bytes: number }[] => bytes.map((size) => ({ bytes: size }));

  it('limits a batch by count and by bytes, but to at least one event', () => {
    assert.equal(batchLength(sizes(...Array.from({ length: 250 }, () => 1))), 100);
    assert.equal(batchLength(sizes(300_000, 300_000)), 1);
    assert.equal(batchLength(sizes(9_000_000)), 1);
    assert.equal(batchLength(sizes(1, 2, 3)), 3);
  });
});

describe('Journal', () => {
  it('uses no space for large values, which it does not keep', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-journal-'));
    const journal = new Journal(dir);
    try {
      const outbox = new JournaledOutbox(journal, 'start', new Broker().deliver, assert.ifError);
      outbox.add({ ...item('1', 64 * 1_048_576), restore: () => [] });
      assert.equal(journal.undelivered('start').length, 0);
      assert.ok((await stat(join(dir, 'journal.mdb'))).size < 8 * 1_048_576);
    } finally {
      await journal.close();
      await rm(dir, { recursive: true });
    }
  });
});

describe('JournaledOutbox', () => {
  it('records nothing after a failed write of the journal, so that the journal has no gap', async () => {
    const noted: string[] = [];
    const failures: unknown[] = [];
    const journal: Pick<Journal, 'add' | 'delivered'> = {
      add: (_, n, { publication }) => {
        if (n === 1) throw new Error('ENOSPC');
        noted.push(publication.subject);
        return Promise.resolve();
      },
      delivered: () => Promise.resolve(),
    };
    const broker = new Broker();
    const outbox = new JournaledOutbox(journal, 'start', broker.deliver, (error) => failures.push(error));
    for (const name of ['1', '2', '3']) outbox.add(item(name));
    assert.deepEqual(noted, ['1']);
    assert.equal(failures.length, 1);
    await broker.ack();
    await outbox.drained();
    assert.deepEqual(broker.batches, [['1', '2', '3']]);
  });
});
