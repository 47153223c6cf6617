import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  foldSessionSummary,
  InMemorySessionStore,
  type SessionStore,
  type SessionStoreEntry,
} from '@anthropic-ai/claude-agent-sdk';
import { v4 as uuidv4 } from 'uuid';
import { Blobs } from '../../src/broker/blobs.js';
import { LargeValues } from '../../workers/claude/large-values.js';
import { Redaction } from '../../workers/claude/redaction.js';
import { Transcript, transcriptEnd } from '../../workers/claude/transcripts.js';
import { WorkerLab } from '../fixtures/worker.js';

type WholeStore = Required<SessionStore>;

const PROJECT = '-a-project';
const entry = (text: string, fields: Partial<SessionStoreEntry> = {}): SessionStoreEntry => ({
  type: 'user',
  uuid: uuidv4(),
  timestamp: '2026-01-01T00:00:00.000Z',
  message: { role: 'user', content: text },
  ...fields,
});

/**
 * What the SDK documents of a SessionStore (sdk.d.ts, `SessionStore`), as tests. `open` gives the store of a session as one sees it
 * who resumes it now, on whatever host.
 */
function conforms(name: string, open: (sessionId: string) => Promise<WholeStore>, byUuid: boolean): void {
  describe(`the contract of a SessionStore: ${name}`, () => {
    const fresh = (): { sessionId: string; key: { projectKey: string; sessionId: string } } => {
      const sessionId = uuidv4();
      return { sessionId, key: { projectKey: PROJECT, sessionId } };
    };

    it('loads null for what was never written', async () => {
      const { sessionId, key } = fresh();
      assert.equal(await (await open(sessionId)).load(key), null);
    });

    it('gives back the whole, in the order of the calls, deep-equal', async () => {
      const { sessionId, key } = fresh();
      const batches = [
        [entry('one'), entry('zwei ä 😀 \u0000 \u2028')],
        [entry('three', { nested: { a: [1, null, { b: true }], '': '' } })],
        [{ type: 'custom-title', customTitle: 'without a uuid' }],
      ];
      const store = await open(sessionId);
      await Promise.all(batches.map((batch) => store.append(key, batch)));
      assert.deepEqual(await (await open(sessionId)).load(key), batches.flat());
    });

    it('goes on from another host', async () => {
      const { sessionId, key } = fresh();
      const [first, second] = [entry('first'), entry('second')];
      await (await open(sessionId)).append(key, [first]);
      await (await open(sessionId)).append(key, [second]);
      assert.deepEqual(await (await open(sessionId)).load(key), [first, second]);
    });

    // The contract lets a store do without.
    if (byUuid)
      it('keeps an entry once by its uuid, and each that has none', async () => {
        const { sessionId, key } = fresh();
        const [one, tag] = [entry('once'), { type: 'tag', tag: 'x' }];
        const store = await open(sessionId);
        await store.append(key, [one, tag]);
        await store.append(key, [one, tag]);
        assert.deepEqual(await (await open(sessionId)).load(key), [one, tag, tag]);
      });

    it('takes large entries, and large batches', async () => {
      const { sessionId, key } = fresh();
      const large = [
        entry('x'.repeat(3_000_000)),
        ...Array.from({ length: 3_000 }, (_, n) => entry(`${n} ${'y'.repeat(500)}`)),
      ];
      await (await open(sessionId)).append(key, large);
      assert.deepEqual(await (await open(sessionId)).load(key), large);
    });

    it('keeps subagents apart, and lists them', async () => {
      const { sessionId, key } = fresh();
      const main = entry('main');
      const parts = new Map(
        ['subagents/agent-1', 'subagents/workflows/w 1/agent-ä.b', '$workspace'].map((path) => [path, entry(path)]),
      );
      const store = await open(sessionId);
      await store.append(key, [main]);
      for (const [subpath, part] of parts) await store.append({ ...key, subpath }, [part]);
      const later = await open(sessionId);
      assert.deepEqual((await later.listSubkeys(key)).toSorted(), [...parts.keys()].toSorted());
      for (const [subpath, part] of parts) assert.deepEqual(await later.load({ ...key, subpath }), [part]);
      assert.deepEqual(await later.load(key), [main]);
      assert.equal(await later.load({ ...key, subpath: 'subagents/none' }), null);
    });

    it('deletes in cascade, and can be written again', async () => {
      const { sessionId, key } = fresh();
      const other = fresh();
      await (await open(other.sessionId)).append(other.key, [entry('stays')]);
      const store = await open(sessionId);
      await store.append(key, [entry('gone')]);
      await store.append({ ...key, subpath: 'subagents/a' }, [entry('gone too')]);
      await (await open(sessionId)).delete(key);
      const after = await open(sessionId);
      assert.equal(await after.load(key), null);
      assert.equal(await after.load({ ...key, subpath: 'subagents/a' }), null);
      assert.deepEqual(await after.listSubkeys(key), []);
      assert.deepEqual(
        await after.listSessions(PROJECT).then((all) => all.some((each) => each.sessionId === sessionId)),
        false,
      );
      assert.equal((await (await open(other.sessionId)).load(other.key))?.length, 1);
      const again = entry('again');
      await after.append(key, [again]);
      assert.deepEqual(await (await open(sessionId)).load(key), [again]);
    });

    it('lists sessions with times in whole ms, which grow', async () => {
      const { sessionId, key } = fresh();
      const store = await open(sessionId);
      await store.append(key, [entry('one')]);
      const time = async (): Promise<number | undefined> =>
        (await (await open(sessionId)).listSessions(PROJECT)).find((each) => each.sessionId === sessionId)?.mtime;
      const first = await time();
      assert.ok(Number.isInteger(first) && Math.abs(Date.now() - (first ?? 0)) < 60_000);
      await store.append(key, [entry('two')]);
      assert.ok(((await time()) ?? 0) >= (first ?? 0));
    });

    it('summarises what was appended, as the SDK folds it', async () => {
      const { sessionId, key } = fresh();
      const batches = [[entry('the first prompt')], [{ type: 'custom-title', customTitle: 'A title', sessionId }]];
      const store = await open(sessionId);
      for (const batch of batches) await store.append(key, batch);
      const later = await open(sessionId);
      const summary = (await later.listSessionSummaries(PROJECT)).find((each) => each.sessionId === sessionId);
      const { mtime } = (await later.listSessions(PROJECT)).find((each) => each.sessionId === sessionId) ?? {
        mtime: 0,
      };
      let expected = foldSessionSummary(undefined, key, batches[0] ?? [], { mtime });
      expected = foldSessionSummary(expected, key, batches[1] ?? [], { mtime });
      assert.deepEqual(summary?.data, expected.data);
      assert.equal(summary?.mtime, mtime);
    });
  });
}

// That the tests say what the SDK means: its own store passes them.
const memory = new InMemorySessionStore();
conforms('the one that the SDK brings', () => Promise.resolve(memory as unknown as WholeStore), false);

describe('KSI_TRANSCRIPTS', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start();
  });
  after(() => lab.stop());
  conforms(
    'on JetStream',
    async (sessionId) => {
      const { broker } = lab;
      const { signal } = new AbortController();
      return new Transcript({
        broker,
        blobs: new Blobs(broker),
        sessionId,
        owner: 'o',
        ...(await transcriptEnd(broker, sessionId)),
        redaction: new Redaction([]),
        large: new LargeValues(),
        signal,
      });
    },
    true,
  );
});
