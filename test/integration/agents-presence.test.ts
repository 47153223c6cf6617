import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import { PresenceRegistry } from '../../src/agents/presence.js';
import type { Broker } from '../../src/broker/connect.js';
import { BrokerError } from '../../src/broker/errors.js';
import { readEntry } from '../../src/broker/kv.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, silent } from '../fixtures/connection.js';

const RENEW_MS = 200;

describe('the presence of external agents', () => {
  let server: TestBroker;
  let broker: Broker;
  let here: PresenceRegistry;
  let there: PresenceRegistry;
  before(async () => {
    server = await startTestBroker();
    broker = await connectTest(server.url);
    [here, there] = [new PresenceRegistry(broker, silent, RENEW_MS), new PresenceRegistry(broker, silent, RENEW_MS)];
    for (const each of [here, there]) await each.start();
  });
  after(async () => {
    for (const each of [here, there]) await each.stop();
    await broker.close();
    await server.stop();
  });
  const of = (id: string): { agent_id: string; owner: string } => ({ agent_id: id, owner: 'local' });
  const entry = async (id: string): Promise<{ holder?: string }> => {
    const { data } = await readEntry(broker, `KV_${BUCKET.agentPresence}`, SUBJECT.agentPresence(id));
    return data === undefined ? {} : (JSON.parse(new TextDecoder().decode(data)) as { holder: string });
  };
  const until = async (what: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await what())) await sleep(10);
  };

  it('is held by only one of two connections that attach at once', async () => {
    for (let n = 0; n < 20; n++) {
      const id = `twice-${n}`;
      const lost: number[] = [];
      const [first, second] = n % 2 === 0 ? [here, there] : [here, here];
      const held = await Promise.all(
        [first, second].map((presence, index) => presence.hold(of(id), () => lost.push(index))),
      );
      await until(() => lost.length > 0);
      const { holder } = await entry(id);
      assert.deepEqual(lost, [held[0]?.holder === holder ? 1 : 0], id);
      assert.ok(here.connected(id) && there.connected(id));
    }
  });

  it('is restored after it has expired while its connection is open', async () => {
    const lost: string[] = [];
    const { holder } = await here.hold(of('back'), (reason) => lost.push(reason));
    const payload = '';
    const headers = { 'Nats-Marker-Reason': 'MaxAge' };
    await broker.publisher.publish({ subject: SUBJECT.agentPresence('back'), payload, headers });
    await until(() => !there.connected('back'));
    await until(() => there.connected('back') && here.connected('back'));
    assert.equal((await entry('back')).holder, holder);
    assert.deepEqual(lost, []);
  });

  it('does not count a connection that was refused', async () => {
    let fails = true;
    const publisher = Object.create(broker.publisher, {
      // Private fields are not inherited.
      ask: { value: broker.publisher.ask.bind(broker.publisher) },
      publish: {
        value: async (...args: Parameters<Broker['publisher']['publish']>) => {
          const ack = await broker.publisher.publish(...args);
          if (!fails) return ack;
          fails = false;
          throw new BrokerError('unavailable', 'The acknowledgement got lost');
        },
      },
    }) as Broker['publisher'];
    const faulty = new PresenceRegistry(
      Object.create(broker, { publisher: { value: publisher } }) as Broker,
      silent,
      RENEW_MS,
    );
    await faulty.start();
    await assert.rejects(
      faulty.hold(of('failed'), () => undefined),
      BrokerError,
    );
    await until(async () => (await entry('failed')).holder === undefined);
    await faulty.stop();
    await until(() => !here.connected('failed'));
  });
});
