import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { nanos } from '@nats-io/transport-node';
import type { Agent } from '../../contracts/agents/agents.js';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { CONSUMER, FORMAT_VERSION, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { MessageDispatcher, type MessageDispatcherOptions } from '../../src/agents/message-dispatcher.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { connectTest, silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

/** One more than have their turn at once. */
const AGENTS = 33;
const IDS = Array.from({ length: AGENTS }, (_, n) => `agent-${n}`);

const agentOf = (id: string): Agent => ({
  v: FORMAT_VERSION,
  agent_id: id,
  owner: 'local',
  kind: 'managed',
  role: 'general',
  capabilities: [],
  subscriptions: [],
  status: 'active',
  created_at: '2026-01-01T00:00:00.000Z',
  updated_at: '2026-01-01T00:00:00.000Z',
});
/** It is taken, and makes no task. */
const nothingToDo = (seq: number): InboxMessage => ({
  message_id: `m${seq}`,
  type: 'DIRECT_MESSAGE',
  owner: 'local',
  hops: 0,
  error: { code: 'internal', message: 'x' },
  seq,
  timestamp: '2026-01-01T00:00:00.000Z',
});
const unused = (): never => {
  throw new Error('not expected');
};

describe('the message dispatcher', () => {
  let server: TestBroker;
  let broker: Broker;
  before(async () => {
    server = await startTestBroker();
    broker = await connectTest(server.url);
    // Leases that run out though they are renewed: a busy machine's, in little time.
    await broker.jsm.consumers.update(STREAM.messages, CONSUMER.router, { ack_wait: nanos(500) });
    for (const id of IDS) {
      const message = { message_id: id, type: 'DIRECT_MESSAGE', owner: 'local', to: id, agent_id: id, hops: 0 };
      const event = newEvent(systemClock, 'AGENT_MESSAGE', message);
      await broker.publisher.publish(eventPublication(event, SUBJECT.agentMessage(id, 'DIRECT_MESSAGE')));
    }
  });
  after(async () => {
    await broker.close();
    await server.stop();
  });

  const router = (read: MessageDispatcherOptions['inboxes']['read']): MessageDispatcher =>
    new MessageDispatcher({
      broker,
      registry: {
        find: (id) => ({ value: agentOf(id), revision: 1 }),
        onChange: () => () => undefined,
      },
      inboxes: { read, take: (_agent, seq) => Promise.resolve({ before: seq - 1, now: seq }) },
      tasks: { create: unused, refuse: unused },
      ending: { end: unused },
      isAwaited: unused,
      log: silent,
    });
  const consumer = (): ReturnType<Broker['jsm']['consumers']['info']> =>
    broker.jsm.consumers.info(STREAM.messages, CONSUMER.router);
  const until = async (what: () => Promise<boolean>): Promise<void> => {
    while (!(await what())) await sleep(20);
  };

  it('keeps the answer of an agent that waits for its turn, however often it is delivered', async () => {
    let open: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => (open = resolve));
    const asked = new Set<string>();
    const held = router(async ({ agent_id: id }) => {
      asked.add(id);
      await closed;
      return { messages: [], more: false };
    });
    held.start();
    await until(async () => (await consumer()).delivered.consumer_seq >= 3 * AGENTS);
    assert.equal((await consumer()).num_ack_pending, AGENTS);
    assert.equal(asked.size, AGENTS - 1);
    open();
    await until(async () => (await consumer()).num_ack_pending === 0);
    assert.equal(asked.size, AGENTS);
    await held.stop();
  });

  it('finds messages without a notification, and serves each inbox in turn', async () => {
    let seq = 0;
    const waits = new Set(IDS);
    let resolve: () => void = () => undefined;
    const all = new Promise<void>((done) => (resolve = done));
    const fair = router(({ agent_id: id }) => {
      waits.delete(id);
      if (waits.size === 0) resolve();
      // There is always more.
      return Promise.resolve({ messages: [nothingToDo(++seq)], more: true });
    });
    fair.start();
    await all;
    await fair.stop();
  });
});
