import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import { ATTACH_WINDOW } from '../../contracts/api/ws.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab, TOKEN, type SocketClient } from '../fixtures/api.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';

describe('an agent over WebSocket', () => {
  let lab: ApiLab;
  let second: ApiOn;
  let here: AgentsOver;
  let there: AgentsOver;
  const clients: SocketClient[] = [];
  before(async () => {
    lab = await ApiLab.start();
    second = await startApiOn(lab.server.url);
    here = new AgentsOver(() => lab.url);
    there = new AgentsOver(() => second.url);
  });
  after(async () => {
    for (const { socket } of clients) socket.terminate();
    await second.stop();
    await lab.stop();
  });

  /** A client that reads an agent's inbox, and sees no other events. */
  const attach = async (url: string, agentId: string, token = TOKEN): Promise<SocketClient> => {
    const client = lab.connectTo(url, token, '?subject=ksi.events.none');
    clients.push(client);
    await client.opened;
    client.send({ op: 'attach', id: 'a', agent_id: agentId });
    return client;
  };
  const op = (client: SocketClient, name: string): Promise<unknown> => client.until((frame) => frame.op === name);
  const pushed = ({ frames }: SocketClient): InboxMessage[] =>
    frames.flatMap((frame) =>
      frame.op === 'message' ? [(frame as unknown as { message: InboxMessage }).message] : [],
    );
  const untilPushed = async (client: SocketClient, count: number): Promise<InboxMessage[]> => {
    await client.until(() => pushed(client).length >= count);
    return pushed(client);
  };
  const ack = async (client: SocketClient, seq: number): Promise<void> => {
    client.send({ op: 'ack', id: 'a', seq });
    await client.until((frame) => frame.op === 'acked' && (frame as unknown as { seq: number }).seq >= seq);
  };

  it('gets the messages that it missed, in order, then new ones, and unacknowledged ones again', async () => {
    await here.register({ agent_id: 'ann' });
    for (const content of ['0', '1', '2']) await there.send({ to: 'ann', content });
    const first = await attach(lab.url, 'ann');
    await op(first, 'attached');
    assert.deepEqual(
      (await untilPushed(first, 3)).map(({ content }) => content),
      ['0', '1', '2'],
    );
    await there.send({ to: 'ann', content: '3' });
    const [, two] = await untilPushed(first, 4);
    await ack(first, two?.seq ?? 0);
    assert.equal((await there.one('ann')).unread, 2);
    first.socket.terminate();
    const again = await attach(second.url, 'ann');
    const repeated = await untilPushed(again, 2);
    assert.deepEqual(
      repeated.map(({ content }) => content),
      ['2', '3'],
    );
    assert.deepEqual(
      (await here.inbox('ann')).map(({ content }) => content),
      ['2', '3'],
      'HTTP reads the same inbox',
    );
    await ack(again, repeated[1]?.seq ?? 0);
    assert.deepEqual(await here.inbox('ann'), []);
  });

  it('gets no more messages than it acknowledges', async () => {
    await here.register({ agent_id: 'bob' });
    const count = ATTACH_WINDOW + 20;
    await Promise.all(Array.from({ length: count }, () => here.send({ to: 'bob', content: 'x' })));
    const client = await attach(lab.url, 'bob');
    const all = await untilPushed(client, ATTACH_WINDOW);
    assert.equal(all.length, ATTACH_WINDOW);
    await ack(client, all[9]?.seq ?? 0);
    const more = await untilPushed(client, ATTACH_WINDOW + 10);
    assert.equal(more.length, ATTACH_WINDOW + 10);
    await ack(client, more.at(-1)?.seq ?? 0);
    const seqs = (await untilPushed(client, count)).map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      [...new Set(seqs)].toSorted((a, b) => a - b),
    );
  });

  it('has one connection: a newer one replaces the older, and its owner sees both events', async () => {
    await here.register({ agent_id: 'carl' });
    const feed = lab.connect('?subject=ksi.events.agent.carl.status');
    clients.push(feed);
    await feed.opened;
    const older = await attach(lab.url, 'carl');
    await op(older, 'attached');
    assert.equal((await here.one('carl')).connected, true);
    assert.equal((await here.send({ to: 'carl', content: 'x' })).status, 'delivered');
    const newer = await attach(second.url, 'carl');
    await op(newer, 'attached');
    const detached = (await op(older, 'detached')) as { reason: string };
    assert.equal(detached.reason, 'replaced');
    await untilPushed(newer, 1);
    assert.equal(
      (await there.list('?connected=true')).items.some(({ agent_id: id }) => id === 'carl'),
      true,
    );
    newer.socket.terminate();
    await feed.until(({ data }) => data?.['status'] === 'disconnected');
    assert.deepEqual(
      feed.frames.map(({ data }) => data['status']),
      ['connected', 'disconnected'],
    );
    assert.equal((await there.one('carl')).connected, false);
    const last = await attach(lab.url, 'carl');
    await op(last, 'attached');
    await there.remove('carl');
    assert.equal(((await op(last, 'detached')) as { reason: string }).reason, 'removed');
  });

  it('sends messages, and is refused operations that its token may not do', async () => {
    await here.register({ agent_id: 'dora' });
    await here.register({ agent_id: 'worker', kind: 'managed' });
    const client = await attach(lab.url, 'dora');
    await op(client, 'attached');
    client.send({ op: 'send', id: 's', message: { from: 'dora', to: 'dora', content: 'to myself' } });
    const { accepted } = (await op(client, 'sent')) as { accepted: { message_id: string } };
    assert.equal((await untilPushed(client, 1))[0]?.message_id, accepted.message_id);
    for (const [frame, code] of [
      [{ op: 'attach', id: 'x', agent_id: 'nobody' }, 'not_found'],
      [{ op: 'attach', id: 'y', agent_id: 'worker' }, 'invalid_request'],
      [{ op: 'ack', id: 'z', seq: 1 }, 'not_found'],
      [{ op: 'send', id: 'v', message: { to: 'nobody', content: 'x' } }, 'not_found'],
    ] as const) {
      client.send(frame);
      const error = await client.until((each) => each.op === 'error' && (each as { id?: string }).id === frame.id);
      assert.equal(error.code, code);
    }
    const { body } = await here.ask('POST', '/tokens', { owner: 'eve', scopes: ['read', 'agents'] });
    const foreign = await attach(lab.url, 'dora', String(body['token']));
    assert.equal(((await op(foreign, 'error')) as { code: string }).code, 'not_found');
    const reader = await here.ask('POST', '/tokens', { scopes: ['read'] });
    const forbidden = await attach(lab.url, 'dora', String(reader.body['token']));
    assert.equal(((await op(forbidden, 'error')) as { code: string }).code, 'forbidden');
  });
});
