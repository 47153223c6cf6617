import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { CONSUMER, STREAM } from '../../contracts/wire/names.js';
import { inboxPrefix } from '../../src/cluster/secrets.js';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { startKsiBroker, type KsiBroker } from '../fixtures/ksi-broker.js';

describe('an agent that connects to the broker itself', () => {
  let server: KsiBroker;
  let api: ApiOn;
  let agents: AgentsOver;
  let alice: NatsConnection;
  before(async () => {
    server = await startKsiBroker(1, { KSI_NATS_AGENTS: 'alice,bob' });
    api = await startApiOn(server.url, {
      KSI_NATS_CREDENTIALS: server.seed('api'),
      KSI_NATS_INBOX: inboxPrefix('api'),
      KSI_NATS_AGENTS: 'alice,bob',
    });
    agents = new AgentsOver(() => api.url);
    alice = await server.connect('agent-alice');
  });
  after(async () => {
    await alice.close();
    await api.stop();
    await server.stop();
  });

  const ask = async (verb: string, request: object = {}): Promise<Record<string, unknown>> =>
    (await alice.request(`ksi.agents.alice.${verb}`, JSON.stringify(request), { timeout: 5_000 })).json();

  it('sends requests as itself once it is registered, which needs the operator', async () => {
    assert.equal((await ask('self'))['code'], 'not_found');
    for (const [scopes, status] of [
      [['agents'], 403],
      [['agents', 'admin'], 201],
    ] as const) {
      const made = await agents.ask('POST', '/tokens', { owner: 'carol', scopes });
      const other = new AgentsOver(() => api.url, String(made.body['token']));
      assert.equal((await other.ask('POST', '/agents/register', { agent_id: 'bob' })).status, status);
    }
    await agents.register({ agent_id: 'alice' });
    await agents.register({ agent_id: 'carl' });
    assert.equal((await ask('self'))['agent_id'], 'alice');
    assert.equal((await ask('send', { to: 'carl', content: 'hello' }))['status'], 'queued');
    assert.equal((await agents.inbox('carl'))[0]?.from, 'alice');
    assert.equal((await ask('send', { from: 'carl', to: 'carl', content: 'x' }))['code'], 'invalid_request');
    assert.equal((await ask('no_such'))['code'], 'not_found');
    assert.equal(((await ask('agents'))['items'] as unknown[]).length, 2, 'those of its owner');
    assert.equal((await ask('update', { role: 'native' }))['role'], 'native');
  });

  it('pulls its messages, and its acknowledgements are receipts', async () => {
    const sent = [];
    for (const content of ['0', '1', '2']) sent.push(await agents.send({ to: 'alice', content }));
    const consumer = await jetstream(alice).consumers.get(STREAM.messages, CONSUMER.nativeInbox('alice'));
    const receipts = alice.subscribe('ksi.events.agent.alice.delivered', { max: 1 });
    const contents: unknown[] = [];
    for await (const message of await consumer.fetch({ max_messages: 3, expires: 5_000 })) {
      contents.push(message.json<{ data: InboxMessage }>().data.content);
      await message.ackAck();
    }
    assert.deepEqual(contents, ['0', '1', '2']);
    for await (const receipt of receipts) {
      const { message_ids: ids } = receipt.json<{ data: { message_ids: string[] } }>().data;
      assert.equal(ids[0], sent[0]?.message_id);
    }
    while ((await agents.one('alice')).unread !== 0);
  });

  it('gets unacknowledged messages before newer ones when it reconnects', async () => {
    const name = CONSUMER.nativeInbox('alice');
    const operator = await server.connect('api');
    // Its lease would take the test 30 s.
    await (await jetstreamManager(operator)).consumers.update(STREAM.messages, name, { ack_wait: nanos(1_000) });
    await operator.close();
    for (const content of ['3', '4']) await agents.send({ to: 'alice', content });
    const fetched = async (count: number, acknowledge: boolean): Promise<unknown[]> => {
      const connection = await server.connect('agent-alice');
      try {
        const consumer = await jetstream(connection).consumers.get(STREAM.messages, name);
        const contents: unknown[] = [];
        for await (const message of await consumer.fetch({ max_messages: count, expires: 10_000 })) {
          contents.push(message.json<{ data: InboxMessage }>().data.content);
          if (acknowledge) await message.ackAck();
        }
        return contents;
      } finally {
        await connection.close();
      }
    };
    assert.deepEqual(await fetched(1, false), ['3']);
    assert.deepEqual(await fetched(2, true), ['3', '4']);
    while ((await agents.one('alice')).unread !== 0);
  });

  it('may read and acknowledge by requests instead', async () => {
    await agents.register({ agent_id: 'alice' });
    await agents.send({ to: 'alice', content: 'asked for' });
    const { items: messages } = (await ask('inbox', { wait: 5 })) as unknown as { items: InboxMessage[] };
    assert.equal(messages[0]?.content, 'asked for');
    assert.deepEqual(await ask('ack', { seq: messages[0]?.seq }), { seq: messages[0]?.seq });
    assert.deepEqual((await ask('inbox'))['items'], []);
  });
});
