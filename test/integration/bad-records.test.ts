import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { ConversationRecord } from '../../contracts/conversations.js';
import { keyToken } from '../../contracts/key-token.js';
import { SUBJECT } from '../../contracts/names.js';
import { putEntry } from '../../src/broker/kv.js';
import { recordFor } from '../../src/conversations/begin.js';
import { AgentsOver, type Said } from '../fixtures/agents.js';
import { LOCAL } from '../../src/api/principal.js';
import { ApiLab } from '../fixtures/api.js';

const OWNER = LOCAL.owner;

describe('a bad record', () => {
  let lab: ApiLab;
  let here: AgentsOver;
  before(async () => {
    lab = await ApiLab.start();
    here = new AgentsOver(() => lab.url);
  });
  after(() => lab.stop());

  const ask = async (method: string, path: string, status: number, body?: object): Promise<Said> => {
    const said = await here.ask(method, path, body);
    assert.equal(said.status, status, `${method} ${path}: ${JSON.stringify(said.body)}`);
    return said;
  };
  const store = (subject: string, record: unknown): Promise<unknown> =>
    lab.broker.publisher.publish({ subject, payload: typeof record === 'string' ? record : JSON.stringify(record) });

  it('is not made by a large budget of a conversation', async () => {
    const { body } = await ask('POST', '/conversations', 201, {
      topic: 'x',
      mode: 'debate',
      agents: 2,
      budget_usd: 1_000_001,
    });
    const path = `/conversations/${String(body['conversation_id'])}`;
    assert.equal((await ask('GET', path, 200)).body['budget_usd'], 1_000_001);
    await ask('GET', '/conversations', 200);
    await ask('POST', `${path}/pause`, 200);
    await ask('DELETE', path, 204);
  });

  it('is not written', async () => {
    const id = uuidv4();
    const request = { topic: 'x', mode: 'debate', agents: 2 } as const;
    const record = recordFor(request, { conversationId: id, owner: OWNER, tokenId: 'local', now: Date.now() });
    const bad = { ...record, turns: -1 };
    const written = putEntry(lab.broker, SUBJECT.conversation(id), { schema: ConversationRecord, record: bad }, 0);
    await assert.rejects(written, { kind: 'refused', message: /turns/ });
    await ask('GET', `/conversations/${id}`, 404);
  });

  it('of a conversation or an agent is left out of lists, and can be deleted, also with its owner', async () => {
    for (const [path, list, subject] of [
      ['/conversations', 'conversations', SUBJECT.conversation],
      ['/agents', 'agents', SUBJECT.agent],
    ] as const) {
      const [one, two] = [uuidv4(), uuidv4()];
      for (const id of [one, two]) await store(subject(id), { owner: OWNER, status: 'odd' });
      const shown = (await ask('GET', path, 200)).body[list];
      assert.ok(Array.isArray(shown) && !JSON.stringify(shown).includes(one));
      assert.equal((await ask('GET', `${path}/${one}`, 500)).body['code'], 'record_unreadable');
      await ask('DELETE', `${path}/${one}`, 204);
      await ask('GET', `${path}/${one}`, 404);
      await ask('DELETE', `/owners/${OWNER}`, 204);
      await ask('GET', `${path}/${two}`, 404);
    }
  });

  it('of an owner is left out of lists, and can be deleted or replaced', async () => {
    await ask('PUT', '/shared/good', 200, { value: 1 });
    await ask('POST', '/identities', 201, { agent_id: 'good' });
    for (const [subject, path, list] of [
      [SUBJECT.shared(OWNER, keyToken('bad')), '/shared', 'entries'],
      [SUBJECT.identity(OWNER, 'bad'), '/identities', 'identities'],
      [SUBJECT.profile(OWNER, keyToken('bad')), '/profiles', 'profiles'],
    ] as const)
      for (const record of ['{', { v: 0 }]) {
        await store(subject, record);
        const shown = JSON.stringify((await ask('GET', path, 200)).body[list]);
        assert.equal(shown.includes('good'), path !== '/profiles', shown);
        assert.equal((await ask('GET', `${path}/bad`, 500)).body['code'], 'record_unreadable');
        await ask('DELETE', `${path}/bad`, 204);
        await ask('GET', `${path}/bad`, 404);
      }
    await store(SUBJECT.shared(OWNER, keyToken('bad')), '{');
    await ask('PUT', '/shared/bad', 200, { value: 2 });
    assert.equal((await ask('GET', '/shared/bad', 200)).body['value'], 2);
  });

  it('of a worker fails no list of workers or queues', async () => {
    await store(SUBJECT.worker('odd', 'odd'), '{');
    for (const path of ['/workers', '/queues']) await ask('GET', path, 200);
  });
});
