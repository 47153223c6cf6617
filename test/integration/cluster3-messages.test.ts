import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { Publication } from '../../src/broker/publish.js';
import { lastBySubject, sourceOf, type Stored } from '../../src/broker/read.js';
import { SourceWatch } from '../../src/broker/source-watch.js';
import { readStream } from '../../src/broker/replay.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import { startTestCluster, type TestBrokerCluster } from '../fixtures/broker-cluster.js';
import { connectTest, silent } from '../fixtures/connection.js';

const AGENTS = ['ann', 'bob', '_'];
/** Safety limits. */
const STORED_WITHIN_MS = 60_000;
const TAKEN_WITHIN_MS = 60_000;

describe('inboxes take messages from the events, in a cluster of three', () => {
  let cluster: TestBrokerCluster;
  let broker: Broker;
  let watch: SourceWatch;
  before(async () => {
    cluster = await startTestCluster();
    broker = await connectTest(cluster.url, { KSI_NATS_SERVERS: '3' });
    watch = new SourceWatch(broker, silent);
    watch.start();
  });
  after(async () => {
    await watch.stop();
    await broker.close();
    await cluster.stop();
  });

  let sent = 0;
  const publication = (subject: string): Publication => {
    const id = `m${sent++}`;
    return { subject: SUBJECT.ingest(subject), payload: JSON.stringify({ id }), msgId: id };
  };

  /** Sends messages, every fifth with a copy in one batch, and other events between them, through whatever happens. */
  const send = async (count: number): Promise<void> => {
    const signal = AbortSignal.timeout(STORED_WITHIN_MS);
    const store = (publications: readonly Publication[]): Promise<unknown> =>
      retryWhileUnavailable(broker, signal, () =>
        broker.publisher.publishBatch(publications).catch((error: unknown) => {
          // A batch whose answer was lost is there.
          if (!isBrokerError(error, 'duplicate')) throw error;
        }),
      );
    for (let n = 0; n < count; n++) {
      const message = publication(SUBJECT.agentMessage(AGENTS[n % AGENTS.length] ?? '', 'NOTE'));
      await store(n % 5 === 0 ? [message, publication(SUBJECT.agentCopy('monitor', 'NOTE'))] : [message]);
      if (n % 3 === 0) await store([publication(SUBJECT.workerEvent('w', 'online'))]);
    }
  };

  const read = async (stream: string, filters: readonly string[]): Promise<Stored[]> => {
    const found: Stored[] = [];
    for (const filter of filters)
      for await (const stored of readStream(broker, stream, filter, 0, Number.MAX_SAFE_INTEGER)) found.push(stored);
    return found.toSorted((a, b) => a.seq - b.seq);
  };
  const idOf = ({ data }: Stored): string => (JSON.parse(new TextDecoder().decode(data)) as { id: string }).id;

  /** Every message and copy is there once, in the order of the events. */
  const assertTaken = async (): Promise<void> => {
    const mail = ['ksi.events.agent.*.message.*', 'ksi.events.agent.*.copy.*'];
    const events = await read(STREAM.events, mail);
    const until = performance.now() + TAKEN_WITHIN_MS;
    for (;;) {
      const last = await retryWhileUnavailable(broker, AbortSignal.timeout(TAKEN_WITHIN_MS), () =>
        lastBySubject(broker, STREAM.messages, SUBJECT.messagesAll),
      );
      if (sourceOf(last) >= (events.at(-1)?.seq ?? 0)) break;
      assert.ok(performance.now() < until, 'the inboxes stay behind');
      await sleep(50);
    }
    const messages = await read(STREAM.messages, [SUBJECT.messagesAll]);
    assert.deepEqual(messages.map(idOf), events.map(idOf));
    for (const stored of messages) {
      const [, , type, to] = stored.subject.split('.');
      const from = stored.header(HEADER.source);
      assert.equal(type, 'NOTE');
      assert.match(from, new RegExp(`ksi\\.events\\.agent\\.${to}\\.(message|copy)\\.NOTE`));
    }
  };

  for (const stream of [STREAM.events, STREAM.messages])
    it(`once, in order, while the leader of ${stream} is killed`, async () => {
      await send(30);
      const leader = await cluster.leaderOf(stream);
      const going = send(40);
      await cluster.servers[leader]?.kill();
      await going;
      await assertTaken();
      await cluster.servers[leader]?.restart();
      await cluster.healthy();
      await send(10);
      await assertTaken();
    });
});
