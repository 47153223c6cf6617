import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Objm } from '@nats-io/obj';
import { Type } from 'typebox';
import { v4 as uuidv4 } from 'uuid';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { Scope } from '../../contracts/access/tokens.js';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { MessageExpiry } from '../../src/agents/expiry.js';
import { InboxCursors } from '../../src/agents/inbox-cursors.js';
import { AgentRegistry } from '../../src/agents/registry.js';
import { AgentDeletion } from '../../src/agents/agent-deletion.js';
import { Blobs } from '../../src/broker/blobs.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { Records } from '../../src/broker/records.js';
import { PROFILE_RECORDS } from '../../contracts/agents/profiles.js';
import { KsiClient } from '../../src/client/index.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { silent } from '../fixtures/connection.js';
import { systemClock } from '../../src/clock.js';

const KSI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

describe('agents', () => {
  let lab: ApiLab;
  let second: ApiOn;
  let here: AgentsOver;
  let there: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    second = await startApiOn(lab.server.url);
    here = new AgentsOver(() => lab.url);
    there = new AgentsOver(() => second.url);
  });
  after(async () => {
    await second.stop();
    await lab.stop();
  });
  let made = 0;
  const name = (): string => `agent-${++made}`;
  const contents = (messages: readonly InboxMessage[]): unknown[] => messages.map(({ content }) => content);

  describe('the registry', () => {
    it('registers, shows, changes and removes an agent at every API, with an event for each', async () => {
      const id = name();
      const feed = lab.connect(`?since=0&subject=ksi.events.agent.${id}.>`);
      await feed.opened;
      const registered = await here.register({
        agent_id: id,
        role: 'critic',
        capabilities: ['review'],
        kind: 'managed',
      });
      assert.equal(registered.status, 'registered');
      assert.match(registered.session_id ?? '', /^[0-9a-f-]{36}$/);
      const shown = await there.one(id);
      assert.deepEqual(
        [shown.role, shown.status, shown.session_id, shown.unread, shown.revision],
        ['critic', 'active', registered.session_id, 0, registered.revision],
      );
      const changed = await there.update(id, { status: 'paused', revision: registered.revision });
      assert.deepEqual([changed.status, changed.capabilities], ['paused', ['review']]);
      const late = await here.ask('PATCH', `/agents/${id}`, { role: 'judge', revision: registered.revision });
      assert.deepEqual([late.status, late.body['code']], [412, 'revision_mismatch']);
      const again = await here.register({ agent_id: id, capabilities: ['review', 'write'] });
      assert.equal(again.session_id, registered.session_id, 'who registers again stays who it was');
      assert.equal((await here.one(id)).role, 'critic');
      await there.remove(id);
      for (const api of [here, there]) assert.equal((await api.ask('GET', `/agents/${id}`)).status, 404);
      await feed.until(({ type }) => type === 'AGENT_TERMINATED');
      const types = feed.frames.map(({ type }) => type);
      assert.deepEqual(types, [
        'AGENT_REGISTERED',
        'AGENT_UPDATED',
        'AGENT_STATUS',
        'AGENT_UPDATED',
        'AGENT_TERMINATED',
      ]);
      feed.socket.terminate();
    });

    it('refuses options that its tasks would be refused for', async () => {
      for (const [options, field] of [
        [{ queue: 'none' }, 'queue'],
        [{ no_such: 1 }, 'options.no_such'],
      ] as const) {
        const { status, body } = await here.ask('POST', '/agents/register', { kind: 'managed', options });
        assert.deepEqual([status, (body['errors'] as { field: string }[])[0]?.field], [400, field]);
      }
      assert.equal((await here.ask('POST', '/agents/register', { agent_id: '_' })).status, 400);
      assert.equal((await here.ask('POST', '/agents/register', { agent_id: 'a.b' })).status, 400);
    });

    it('gives a managed agent another session only with the scope spawn, and never one of another owner', async () => {
      const id = name();
      const tokenOf = async (owner: string, ...scopes: string[]): Promise<AgentsOver> => {
        const { body } = await here.ask('POST', '/tokens', { owner, scopes });
        return new AgentsOver(() => lab.url, String(body['token']));
      };
      const spawns = await tokenOf('sid', 'agents', 'spawn', 'read');
      const speaks = await tokenOf('sid', 'agents', 'read');
      const { session_id: session } = await spawns.register({ agent_id: id, kind: 'managed' });
      const again = await speaks.ask('POST', '/agents/register', { agent_id: id, session_id: uuidv4() });
      assert.deepEqual([again.status, again.body['code']], [403, 'forbidden']);
      const foreign = uuidv4();
      await here.ask('POST', '/spawn', { prompt: 'x', session_id: foreign });
      const taken = await spawns.ask('POST', '/agents/register', { agent_id: id, session_id: foreign });
      assert.deepEqual([taken.status, taken.body['code']], [404, 'session_not_found']);
      assert.equal((await spawns.one(id)).session_id, session);
      assert.equal((await speaks.register({ agent_id: id, role: 'critic' })).session_id, session);
    });

    it('ends once for each signal, however often the signal arrives', async () => {
      const id = name();
      await here.register({ agent_id: id, kind: 'managed' });
      const registry = new AgentRegistry(lab.broker, silent);
      assert.equal(await registry.end(id, 'm1'), true);
      assert.equal(await registry.end(id, 'm1'), true, 'it broke off before it was told');
      await here.update(id, { status: 'active' });
      assert.equal(await registry.end(id, 'm1'), false);
      assert.equal(await registry.end(id, 'm2'), true);
    });

    it('deletes nothing of the agent that was registered first', async () => {
      const id = name();
      const positions = new InboxCursors(lab.broker, silent);
      const forget = async (): Promise<void> => undefined;
      const registry = { remove: forget, allNamed: () => Promise.resolve([]) };
      const presence = { forget };
      const blobs = new Blobs(lab.broker);
      const approvalRules = { removeOfAgent: forget };
      const remover = new AgentDeletion({ broker: lab.broker, blobs, registry, presence, positions, approvalRules });
      await lab.broker.publisher.publish(
        eventPublication(
          newEvent(systemClock, 'AGENT_MESSAGE', {
            message_id: 'old',
            type: 'DIRECT_MESSAGE',
            owner: 'local',
            to: id,
            hops: 0,
          }),
          SUBJECT.agentMessage(id, 'DIRECT_MESSAGE'),
        ),
      );
      while ((await lastBySubject(lab.broker, STREAM.messages, SUBJECT.inbox(id))) === undefined) await sleep(5);
      const late = new AgentRegistry(lab.broker, silent);
      const other = { tokenId: 't', owner: 'other', scopes: new Set<Scope>(), seesAll: false };
      const registering = late.register({ agent_id: id }, other, async () => {
        const clear = await remover.look(id);
        return async () => {
          await here.register({ agent_id: id });
          await here.send({ to: id, content: 'first' });
          await here.send({ to: id, content: 'second' });
          await here.ack(id, (await here.inbox(id))[0]?.seq ?? 0);
          await clear();
        };
      });
      await assert.rejects(registering, { code: 'agent_exists' });
      assert.deepEqual(contents(await here.inbox(id)), ['second']);
    });

    it('limits the agents of an owner', async () => {
      const few = new AgentRegistry(lab.broker, silent, 2);
      await few.start();
      const owner = { tokenId: 't', owner: 'bounded', scopes: new Set<Scope>(), seesAll: false };
      const nothing = async (): Promise<() => Promise<void>> => () => Promise.resolve();
      const [id] = [name(), await few.register({}, owner, nothing)];
      await few.register({ agent_id: id }, owner, nothing);
      await assert.rejects(few.register({}, owner, nothing), { code: 'too_many' });
      await few.register({ agent_id: id, role: 'critic' }, owner, nothing);
      await few.remove(id);
      await few.register({}, owner, nothing);
      await few.stop();
      const records = new Records(lab.broker, { ...PROFILE_RECORDS, schema: Type.Object({}), most: 2 }, silent);
      const first = await records.put(['bounded', 'a'], {}, 0);
      await records.put(['bounded', 'b'], {}, 0);
      await assert.rejects(records.put(['bounded', 'c'], {}, 0), { kind: 'limit' });
      assert.ok(await records.put(['bounded', 'a'], {}, first ?? 0));
      await records.purge(['bounded']);
      assert.ok(await records.put(['bounded', 'c'], {}, 0));
    });

    it('lists page by page, by role, capability and kind', async () => {
      const role = uuidv4();
      const ids = Array.from({ length: 7 }, (_, n) => `page-${n}`);
      for (const id of ids)
        await here.register({ agent_id: id, role, capabilities: id === 'page-3' ? ['x', 'y'] : ['y'] });
      const found: string[] = [];
      let cursor = '';
      do {
        const page = await here.list(`?role=${role}&limit=3${cursor}`);
        found.push(...page.items.map(({ agent_id: id }) => id));
        cursor = page.next_cursor === undefined ? '' : `&cursor=${page.next_cursor}`;
      } while (cursor !== '');
      assert.deepEqual(found, ids);
      const x = await there.list(`?capability=x&role=${role}`);
      assert.deepEqual(
        x.items.map(({ agent_id: id }) => id),
        ['page-3'],
      );
      assert.deepEqual((await there.list(`?kind=managed&role=${role}`)).items, []);
      assert.equal((await here.ask('GET', '/agents?cursor=x.y')).body['code'], 'invalid_cursor');
    });

    it('has all agents at both APIs after a restart, and only one registration wins a race for an id', async () => {
      const id = name();
      const all = await Promise.all(
        Array.from({ length: 8 }, (_, n) => (n % 2 === 0 ? here : there).register({ agent_id: id, role: `r${n}` })),
      );
      assert.equal(new Set(all.map(({ revision }) => revision)).size, 8);
      const { role } = await here.one(id);
      await lab.stopApi();
      await lab.startApi();
      assert.deepEqual([(await here.one(id)).role, (await there.one(id)).role], [role, role]);
    });
  });

  describe('messages', () => {
    it('reach an agent that was offline, in order, once, at any API, with receipts', async () => {
      const id = name();
      await here.register({ agent_id: id });
      const sent: string[] = [];
      for (let n = 0; n < 5; n++) {
        const accepted = await (n % 2 === 0 ? here : there).send({ to: id, content: `${n}`, conversation_id: 'c' });
        assert.deepEqual([accepted.status, accepted.to], ['queued', id]);
        sent.push(accepted.message_id);
      }
      assert.equal((await there.one(id)).unread, 5);
      const first = await there.inbox(id, '?limit=3');
      assert.deepEqual(contents(first), ['0', '1', '2']);
      assert.deepEqual(
        first.map(({ message_id: each }) => each),
        sent.slice(0, 3),
      );
      assert.deepEqual(contents(await here.inbox(id)), ['0', '1', '2', '3', '4'], 'none is taken by reading it');
      const third = first[2]?.seq ?? 0;
      assert.deepEqual(await there.ack(id, third), { seq: third });
      assert.deepEqual(await here.ack(id, first[0]?.seq ?? 0), { seq: third }, 'a position never goes back');
      assert.deepEqual(contents(await here.inbox(id)), ['3', '4']);
      const receipt = await lastBySubject(lab.broker, STREAM.events, SUBJECT.agentEvent(id, 'delivered'));
      const { data } = JSON.parse(new TextDecoder().decode(receipt?.data)) as { data: Record<string, unknown> };
      assert.deepEqual([data['seq'], data['message_ids']], [third, sent.slice(0, 3)]);
      const { status, body } = await here.ask('POST', `/agents/${id}/inbox/ack`, { seq: third + 10_000 });
      assert.deepEqual([status, body['code']], [400, 'invalid_request'], 'nothing is taken unseen');
      assert.equal((await here.one(id)).connected, true);
      assert.equal((await here.send({ to: id, content: '5' })).status, 'delivered');
    });

    it('are each one event under one cursor, and copies go to subscribers', async () => {
      const [from, to, monitor, stranger] = [name(), name(), name(), name()];
      for (const id of [from, to, stranger]) await here.register({ agent_id: id, subscriptions: ['NEWS'] });
      await here.register({ agent_id: monitor, subscriptions: ['DIRECT_MESSAGE', 'BROADCAST', 'NEWS'] });
      const direct = await there.send({ from, to, content: 'hello', payload: { n: 1 } });
      assert.deepEqual(direct.copies, [monitor]);
      const broadcast = await here.send({ from: monitor, type: 'BROADCAST', content: 'all' });
      assert.deepEqual([broadcast.status, broadcast.copies], ['published', []], 'the sender gets none');
      const news = await here.send({ from, to, type: 'NEWS', payload: { of: 'today' } });
      assert.deepEqual(news.copies.toSorted(), [monitor, stranger].toSorted(), 'an addressee gets it once');
      assert.deepEqual(contents(await here.inbox(to)), ['hello', undefined]);
      const [copied, , copy] = [...(await here.inbox(monitor)), ...(await here.inbox(stranger))];
      assert.deepEqual([copied?.to, copied?.agent_id, copied?.message_id], [to, monitor, direct.message_id]);
      assert.deepEqual(copy?.payload, { of: 'today' });
      const feed = lab.connect(`?since=${direct.since}`);
      await feed.until(({ data }) => data?.['message_id'] === news.message_id);
      const seen = feed.frames.filter(({ type }) => type === 'AGENT_MESSAGE').map(({ data }) => data['message_id']);
      assert.deepEqual(seen, [direct.message_id, broadcast.message_id, news.message_id]);
      feed.socket.terminate();
    });

    it('that are sent again under the same id are stored once', async () => {
      const [id, monitor] = [name(), name()];
      await here.register({ agent_id: id });
      await here.register({ agent_id: monitor, subscriptions: ['TWICE'] });
      const message = { to: id, type: 'TWICE', message_id: uuidv4(), content: 'once' };
      await Promise.all([here.send(message), there.send(message), here.send(message)]);
      await there.send(message);
      assert.deepEqual(contents(await there.inbox(id)), ['once']);
      assert.deepEqual(contents(await there.inbox(monitor)), ['once']);
    });

    it('are read after any sequence that a number can represent, and after no other', async () => {
      const id = name();
      await here.register({ agent_id: id });
      const after = (seq: string): Promise<Said> => here.ask('GET', `/agents/${id}/inbox?wait=0.0001&after=${seq}`);
      const last = await after(String(Number.MAX_SAFE_INTEGER));
      assert.deepEqual([last.status, last.body], [200, { items: [] }]);
      for (const seq of ['1e300', '9007199254740992']) assert.equal((await after(seq)).status, 400, seq);
    });

    it('wait for a reader, and a reader waits for them', async () => {
      const id = name();
      await here.register({ agent_id: id });
      const waiting = there.inbox(id, '?wait=20');
      while (!(await there.one(id)).connected);
      await here.send({ to: id, content: 'at last' });
      assert.deepEqual(contents(await waiting), ['at last']);
    });

    it('with many copies are stored once, and no owner can replace the text of another', async () => {
      const subscribers = Array.from({ length: 12 }, (_, n) => `bulk-${n}`);
      for (const agent_id of subscribers) await here.register({ agent_id, subscriptions: ['BULK'] });
      const bytes = async (): Promise<number> => (await lab.broker.jsm.streams.info(STREAM.events)).state.bytes;
      const before = await bytes();
      const message = { type: 'BULK', content: 'x'.repeat(900_000), message_id: uuidv4() };
      assert.equal((await here.send(message)).copies.length, 12);
      assert.ok((await bytes()) - before < 100_000, `${(await bytes()) - before} bytes of events`);
      const made = await here.ask('POST', '/tokens', { owner: 'somebody', scopes: ['agents'] });
      const other = new AgentsOver(() => lab.url, String(made.body['token']));
      await other.send({ ...message, content: 'y'.repeat(1_200_000) });
      // Sent again, it is the same message, and its body is the first one's.
      await there.send({ ...message, content: 'z'.repeat(900_000) });
      for (const id of ['bulk-0', 'bulk-11']) assert.deepEqual(contents(await there.inbox(id)), [message.content]);
      const bodies = await (await new Objm(lab.broker.js).open(BUCKET.blobs)).list();
      assert.equal(bodies.filter(({ name }) => name.includes(message.message_id)).length, 2);
    });

    it('may be larger than a message of the broker', async () => {
      const id = name();
      await here.register({ agent_id: id });
      const content = 'x'.repeat(1_500_000);
      const { since } = await here.send({ to: id, content, payload: { n: 1 } });
      const [message] = await there.inbox(id);
      assert.deepEqual([message?.content === content, message?.payload, message?.ref], [true, { n: 1 }, undefined]);
      const feed = lab.connect(`?since=${since}&subject=ksi.events.agent.${id}.>`);
      const { data } = await feed.until(({ type }) => type === 'AGENT_MESSAGE');
      assert.equal(data['content'], content);
      feed.socket.terminate();
    });

    it('with a task and no addressee go to the best match', async () => {
      const [one, two, three] = [name(), name(), name()];
      const mark = uuidv4();
      await here.register({ agent_id: one, capabilities: [mark], kind: 'managed' });
      await here.register({ agent_id: two, capabilities: [mark, 'more'], kind: 'managed' });
      await here.register({ agent_id: three, capabilities: [mark, 'more', 'most'] });
      const assign = { type: 'TASK_ASSIGNMENT', content: 'do', required_capabilities: [mark, 'more', 'most'] };
      assert.equal((await here.send(assign)).to, two, 'who is not there gets none');
      await here.inbox(three);
      assert.equal((await there.send(assign)).to, three);
      const nobody = await here.ask('POST', '/messages', { ...assign, required_capabilities: ['nothing'] });
      assert.deepEqual([nobody.status, nobody.body['code']], [409, 'no_suitable_agent']);
      const unaddressed = await here.ask('POST', '/messages', { content: 'x' });
      assert.equal(unaddressed.status, 400);
    });

    it('that nobody acknowledged are reported once before they expire', async () => {
      const id = name();
      await here.register({ agent_id: id });
      for (const content of ['taken', 'left']) await here.send({ to: id, content });
      const [taken, left] = await here.inbox(id);
      await here.ack(id, taken?.seq ?? 0);
      const positions = new InboxCursors(lab.broker, silent);
      const registry = new AgentRegistry(lab.broker, silent);
      await registry.start();
      // The time of the broker is known within some ms only: the messages of this moment count as old.
      const expiry = new MessageExpiry({ broker: lab.broker, registry, positions, log: silent, ageMs: -60_000 });
      const bad = name();
      for (const agent of [bad, '_told'])
        await lab.broker.publisher.publish({ subject: SUBJECT.inboxCursor(agent), payload: '{' });
      await here.register({ agent_id: bad });
      await here.send({ to: bad, content: 'x' });
      assert.ok((await expiry.sweep()) > 0);
      assert.equal(await expiry.sweep(), 0);
      await registry.stop();
      const expired = await lastBySubject(lab.broker, STREAM.events, SUBJECT.agentEvent(id, 'expired'));
      const { data } = JSON.parse(new TextDecoder().decode(expired?.data)) as { data: Record<string, unknown> };
      assert.deepEqual([data['message_id'], data['seq']], [left?.message_id, left?.seq]);
    });

    it('are deleted with their agent', async () => {
      const id = name();
      await here.register({ agent_id: id });
      await here.send({ to: id, content: 'secret' });
      await here.inbox(id);
      await here.remove(id);
      for (const [stream, subject] of [
        [STREAM.messages, SUBJECT.inbox(id)],
        [STREAM.events, SUBJECT.agentMail(id)],
      ] as const)
        assert.equal(await lastBySubject(lab.broker, stream, subject), undefined);
      assert.equal((await here.ask('POST', '/messages', { to: id, content: 'x' })).status, 404);
      await here.register({ agent_id: id });
      assert.deepEqual(await here.inbox(id), []);
    });

    it('and agents are deleted with their owner', async () => {
      const { body } = await here.ask('POST', '/tokens', { owner: 'gone', scopes: ['agents', 'read'] });
      const gone = new AgentsOver(() => lab.url, String(body['token']));
      await gone.register({ agent_id: 'gone-1' });
      await gone.send({ to: 'gone-1', content: 'x' });
      await gone.send({ type: 'NEWS', content: 'to nobody' });
      const kept = await here.send({ type: 'NEWS', content: 'kept' });
      assert.equal((await here.ask('DELETE', '/owners/gone')).status, 204);
      assert.equal((await there.ask('GET', '/agents/gone-1')).status, 404);
      const nobodys = await lastBySubject(lab.broker, STREAM.messages, SUBJECT.inbox('_'));
      assert.match(new TextDecoder().decode(nobodys?.data), new RegExp(kept.message_id));
    });
  });

  it('can be read, acknowledged and answered with the client', async () => {
    const [id, other] = [name(), name()];
    const client = new KsiClient({ url: lab.url, token: TOKEN });
    assert.equal((await client.agents.register({ agent_id: id, role: 'reader' })).status, 'registered');
    await client.agents.register({ agent_id: other });
    const ids: string[] = [];
    for await (const agent of client.agents.list({ role: 'reader', limit: 1 })) ids.push(agent.agent_id);
    assert.deepEqual(ids, [id]);
    for (const content of ['0', '1'])
      await client.messages.send({ from: other, to: id, content, conversation_id: 'c' });
    const ended = new AbortController();
    const inbox = client.agents.inbox(id, { signal: ended.signal });
    const read: unknown[] = [];
    let sent: Promise<unknown> | undefined;
    for await (const message of inbox) {
      read.push(message.content);
      await inbox.reply(message, { content: `not ${message.content}` });
      // While it waits, as it has taken all.
      sent ??= client.messages.send({ to: id, content: '2' });
      if (read.length === 3) ended.abort();
    }
    await sent;
    assert.deepEqual(read, ['0', '1', '2']);
    const answers = await client.agents.inbox(other).read();
    assert.deepEqual(
      answers.map(({ content, from, conversation_id: conversation }) => [content, from, conversation]),
      [
        ['not 0', id, 'c'],
        ['not 1', id, 'c'],
      ],
    );
    assert.deepEqual(contents(await client.agents.inbox(id).read()), ['2'], 'what was not acknowledged stays');
    assert.equal((await client.agents.update(id, { status: 'paused' })).status, 'paused');
    await client.agents.remove(id);
    await assert.rejects(client.agents.get(id), { code: 'not_found' });
  });

  it('have commands', async () => {
    const ksi = async (args: readonly string[], input = ''): Promise<string> => {
      const child = spawn(process.execPath, [KSI, ...args], {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, KSI_URL: lab.url, KSI_TOKEN: TOKEN },
      });
      child.stdin.end(input);
      const [[code], out, err] = await Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]);
      return `${out}${err}${code === 0 ? '' : `exit ${String(code)}`}`;
    };
    const id = name();
    assert.equal(await ksi(['agents', 'register', id, '--role', 'teller', '--capability', 'x', 'y']), `${id}\n`);
    assert.match(await ksi(['agents', '--role', 'teller']), new RegExp(`${id} +external +away +teller`));
    assert.match(await ksi(['send', id], 'from stdin'), new RegExp(`waits for ${id}`));
    assert.match(await ksi(['send', id, 'two', 'words', '--type', 'NEWS', '--conversation', 'c']), /waits for/);
    assert.match(await ksi(['agents', 'show', id]), /unread +2\n/);
    const shown = await ksi(['agents', 'inbox', id, '--ack']);
    assert.match(shown, /its owner {2}DIRECT_MESSAGE\nfrom stdin\n.*its owner {2}NEWS {2}c\ntwo words\n$/);
    assert.deepEqual(await here.inbox(id), []);
    assert.equal(await ksi(['agents', 'remove', id]), `Removed ${id}.\n`);
  });

  it('can be sent over the NATS service too', async () => {
    const id = name();
    const call = async (verb: string, request: object): Promise<Record<string, unknown>> =>
      (await lab.broker.nc.request(`ksi.api.${verb}`, JSON.stringify(request), { timeout: 5_000 })).json();
    assert.equal((await call('agent_register', { agent_id: id }))['agent_id'], id);
    assert.equal((await call('send', { to: id, content: 'over NATS' }))['status'], 'queued');
    const { items: messages } = (await call('inbox', { id })) as unknown as { items: InboxMessage[] };
    assert.deepEqual(contents(messages), ['over NATS']);
    assert.deepEqual(await call('inbox_ack', { id, seq: messages[0]?.seq }), { seq: messages[0]?.seq });
    assert.deepEqual((await call('inbox', { id }))['items'], []);
  });
});
