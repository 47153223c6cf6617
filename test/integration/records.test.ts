import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Type } from 'typebox';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import type { OwnedKey, RecordKind } from '../../contracts/wire/record-kind.js';
import { IDEMPOTENCY_RECORDS } from '../../contracts/tasks/idempotency.js';
import { AGENT_RECORDS } from '../../contracts/agents/agents.js';
import { PROFILE_RECORDS } from '../../contracts/agents/profiles.js';
import type { Broker } from '../../src/broker/connect.js';
import { Records, REMOVE } from '../../src/broker/records.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, silent } from '../fixtures/connection.js';

const Counter = Type.Object({ n: Type.Integer() });
const OWNED: RecordKind<typeof Counter, OwnedKey> = { ...PROFILE_RECORDS, schema: Counter, most: 3 };
const WATCHED = { ...AGENT_RECORDS, schema: Counter };
const UNMARKED = { ...IDEMPOTENCY_RECORDS, schema: Counter };

describe('a store of records', () => {
  let server: TestBroker;
  let broker: Broker;
  let another: Broker;
  before(async () => {
    server = await startTestBroker({ sync: '1s' });
    broker = await connectTest(server.url);
    another = await connectTest(server.url);
  });
  after(async () => {
    await another.close();
    await broker.close();
    await server.stop();
  });

  const store = (on = broker) => new Records(on, OWNED, silent);
  const write = (subject: string, payload: string) => broker.publisher.publish({ subject, payload });

  it('loses none of the updates that several processes make at once', async () => {
    const stores = [store(), store(), store(another)];
    const key = ['concurrent', 'a'] as const;
    const seen = await Promise.all(
      stores.flatMap((records) =>
        Array.from({ length: 8 }, async () => {
          const { record } = await records.update(key, ({ record: now }) => ({ n: (now?.n ?? 0) + 1 }));
          return record?.n;
        }),
      ),
    );
    assert.deepEqual(
      seen.toSorted((a = 0, b = 0) => a - b),
      Array.from({ length: 24 }, (_, n) => n + 1),
    );
    assert.equal((await store().get(key))?.n, 24);
  });

  it('leaves a record as it is when the change says so, and writes nothing', async () => {
    const key = ['left', 'a'] as const;
    const revision = await store().create(key, { n: 1 });
    const left = await store().update(key, () => undefined);
    assert.deepEqual([left.record, left.revision], [{ n: 1 }, revision]);
    assert.equal((await store().entry(key)).revision, revision);
    assert.equal(await store().create(key, { n: 2 }), undefined);
    assert.equal(await store().put(key, { n: 2 }, (revision ?? 0) + 1), undefined);
    assert.equal(await store().removeAt(key, (revision ?? 0) + 1), undefined);
  });

  it('removes a record once, and makes it anew after that', async () => {
    const key = ['removed', 'a'] as const;
    await store().create(key, { n: 1 });
    const removals = await Promise.all([store().remove(key), store().remove(key), store().remove(key)]);
    assert.equal(removals.filter(Boolean).length, 1);
    assert.equal(await store().get(key), undefined);
    assert.ok(await store().create(key, { n: 2 }));
    await store().update(key, ({ record }) => (record?.n === 2 ? REMOVE : undefined));
    assert.deepEqual(await store().all(['removed']), []);
  });

  it('leaves no trace of a record whose kind has no marks', async () => {
    const records = new Records(broker, UNMARKED, silent);
    await records.create(['gone'], { n: 1 });
    assert.equal(await records.remove(['gone']), true);
    assert.deepEqual([(await records.entry(['gone'])).revision, await records.ids([])], [0, []]);
  });

  it('pages through the records of an owner, and counts them', async () => {
    for (const id of ['c', 'a', 'b']) await store().create(['paged', id], { n: 1 });
    const first = await store().page(['paged'], { limit: 2 });
    assert.deepEqual([first.entries.map(({ id }) => id), first.next], [['a', 'b'], 'b']);
    const { entries, next } = await store().page(['paged'], { limit: 2, after: first.next });
    assert.deepEqual([entries.map(({ id }) => id), next], [['c'], undefined]);
    await assert.rejects(store().create(['paged', 'd'], { n: 1 }), { kind: 'limit' });
    await store().purge(['paged']);
    assert.deepEqual(await store().ids(['paged']), []);
    assert.ok(await store().create(['paged', 'd'], { n: 1 }));
  });

  it('leaves a bad record out of lists, refuses to read or write one, and replaces or removes it', async () => {
    const key = ['bad', 'a'] as const;
    await write(SUBJECT.profile(...key), JSON.stringify({ owner: 'bad', n: 'x' }));
    await store().create(['bad', 'b'], { n: 1 });
    assert.deepEqual(
      (await store().all(['bad'])).map(({ id }) => id),
      ['b'],
    );
    await assert.rejects(store().get(key), { kind: 'unreadable', message: /\bn\b/ });
    await assert.rejects(
      store().update(key, ({ record }) => record),
      { kind: 'unreadable' },
    );
    await assert.rejects(store().put(key, { n: 0.5 }), { kind: 'refused', message: /\bn\b/ });
    const { owner, readable, exists } = await store().entry(key);
    assert.deepEqual([owner, readable, exists], ['bad', undefined, true]);
    const { before } = await store().update(key, () => ({ n: 2 }));
    assert.deepEqual([before.readable, await store().get(key)], [undefined, { n: 2 }]);
    await write(SUBJECT.profile(...key), 'no JSON');
    assert.equal(await store().remove(key), true);
  });

  it('keeps the records in memory, its own writes at once and those of others a moment later', async () => {
    const other = new Records(another, WATCHED, silent);
    const mine = new Records(broker, WATCHED, silent);
    await other.create(['old'], { n: 1 });
    const cache = mine.watch<number | string>({ of: ({ n }) => n, bad: () => 'bad', log: silent });
    await cache.start();
    assert.equal(cache.get('old')?.value, 1);
    const revision = await mine.update(['own'], () => ({ n: 7 }));
    assert.deepEqual(cache.get('own'), { value: 7, revision: revision.revision });
    await mine.remove(['own']);
    assert.equal(cache.get('own'), undefined);
    const changes = new Map<string, Promise<void>>();
    for (const key of ['new', 'worse'])
      changes.set(key, new Promise((resolve) => cache.onChange((change) => void (change.key === key && resolve()))));
    await other.create(['new'], { n: 2 });
    await write(`$KV.${BUCKET.agents}.worse`, '{}');
    await Promise.all(changes.values());
    assert.deepEqual([cache.get('new')?.value, cache.get('worse')?.value], [2, 'bad']);
    await cache.stop();
  });
});
