import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Objm } from '@nats-io/obj';
import * as fc from 'fast-check';
import { keyToken } from '../../contracts/wire/key-token.js';
import { BUCKET, SUBJECT } from '../../contracts/wire/names.js';
import type { SharedEntry, SharedPage, SharedValue } from '../../contracts/agents/shared.js';
import type { TokenCreated } from '../../contracts/access/tokens.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { startApiOn } from '../fixtures/api-on.js';

describe('shared state', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  interface Asked {
    readonly body?: unknown;
    readonly headers?: Record<string, string>;
    readonly token?: string;
  }
  const ask = (method: string, path: string, { body, headers, token = TOKEN }: Asked = {}): Promise<Answer> =>
    lab.request(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const at = (key: string): string => `/shared/${encodeURIComponent(key)}`;
  const set = async (key: string, value: unknown, more: object = {}, options: Asked = {}): Promise<SharedEntry> => {
    const answer = await ask('PUT', at(key), { ...options, body: { value, ...more } });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body as unknown as SharedEntry;
  };
  const get = async (key: string, options: Asked = {}): Promise<SharedValue> => {
    const answer = await ask('GET', at(key), options);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body as unknown as SharedValue;
  };
  const blobs = async (): Promise<number> => {
    const store = await new Objm(lab.broker.js).open(BUCKET.privateBlobs, false);
    return (await store.list()).filter(({ name, deleted }) => name.startsWith('shared/') && !deleted).length;
  };
  const tokenOf = async (owner: string, more: object = {}): Promise<string> => {
    const made = await ask('POST', '/tokens', { body: { scopes: ['read', 'agents'], owner, ...more } });
    return (made.body as unknown as TokenCreated).token;
  };

  it('keeps any JSON under any key', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((key) => !/^\.{1,2}$|\p{Cc}/u.test(key)),
        fc
          .jsonValue({ noUnicodeString: false, maxDepth: 3 })
          .filter((value) => !JSON.stringify(value).includes('__proto__')),
        async (key, value) => {
          const { revision } = await set(key, value);
          const found = await get(key);
          // -0 is no JSON.
          assert.deepEqual(found.value, JSON.parse(JSON.stringify(value)));
          assert.deepEqual([found.key, found.revision], [key, revision]);
        },
      ),
      { numRuns: 40 },
    );
    for (const value of [null, false, 0, '', [], {}]) {
      await set('falsy', value);
      assert.deepEqual((await get('falsy')).value, value);
    }
    await set('x'.repeat(256), 1);
    for (const key of ['x'.repeat(257), 'a\u0000b', '\u007f'])
      assert.equal((await ask('PUT', at(key), { body: { value: 1 } })).status, 400, JSON.stringify(key));
    assert.equal((await ask('PUT', at('none'), { body: {} })).status, 400, 'a value is required');
    assert.equal((await ask('GET', at('nothing here'))).status, 404);
  });

  it('is changed by compare-and-set, by its field and by its headers', async () => {
    const first = await set('cas', 1, { revision: 0 });
    for (const options of [
      { body: { value: 2, revision: 0 } },
      { body: { value: 2, revision: first.revision + 1_000 } },
      { body: { value: 2 }, headers: { 'if-none-match': '*' } },
      { body: { value: 2 }, headers: { 'if-match': `"${first.revision - 1}"` } },
    ]) {
      const refused = await ask('PUT', at('cas'), options);
      assert.deepEqual([refused.status, refused.body['code']], [412, 'revision_mismatch'], JSON.stringify(options));
      assert.match(String(refused.body['detail']), new RegExp(`revision is ${first.revision}`));
    }
    const answer = await ask('GET', at('cas'));
    const etag = answer.headers.get('etag') ?? '';
    assert.equal(etag, `"${first.revision}"`);
    const second = await ask('PUT', at('cas'), { body: { value: 2 }, headers: { 'if-match': etag } });
    assert.equal(second.status, 200);
    assert.equal((await ask('DELETE', `${at('cas')}?revision=${first.revision}`)).status, 412);
    const now = second.headers.get('etag') ?? '';
    assert.equal((await ask('DELETE', at('cas'), { headers: { 'if-match': now } })).status, 204);
    assert.equal((await ask('DELETE', at('cas'))).status, 404);
    assert.equal((await ask('PUT', at('cas'), { body: { value: 3, revision: 7 } })).status, 412, 'there is none');
    await set('cas', 3, { revision: 0 });
    for (const headers of [{ 'if-match': '*' }, { 'if-match': '3' }, { 'if-none-match': '"3"' }] as Record<
      string,
      string
    >[])
      assert.equal((await ask('PUT', at('cas'), { body: { value: 2 }, headers })).status, 400);
    assert.equal(
      (await ask('PUT', at('cas'), { body: { value: 2, revision: 1 }, headers: { 'if-match': '"2"' } })).status,
      400,
    );
  });

  it('loses no change of those who count together, at two APIs', async () => {
    const second = await startApiOn(lab.server.url);
    try {
      await set('count', 0);
      const urls = [lab.url, second.url];
      const add = async (url: string): Promise<void> => {
        for (;;) {
          const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
          const found = (await (await fetch(`${url}/shared/count`, { headers })).json()) as SharedValue;
          const body = JSON.stringify({ value: Number(found.value) + 1, revision: found.revision });
          const { status } = await fetch(`${url}/shared/count`, { method: 'PUT', headers, body });
          if (status === 200) return;
          assert.equal(status, 412);
        }
      };
      await Promise.all(Array.from({ length: 16 }, (_, n) => add(urls[n % 2] ?? lab.url)));
      assert.equal((await get('count')).value, 16);
      // Who asks for no revision is never refused.
      await Promise.all(Array.from({ length: 8 }, (_, n) => set('last', n)));
    } finally {
      await second.stop();
    }
  });

  it('keeps what is larger than a message, and nothing of what it was', async () => {
    const large = (fill: string) => ({ text: fill.repeat(3_000_000) });
    const first = await set('large', large('a'));
    assert.equal(first.size, JSON.stringify(large('a')).length);
    assert.deepEqual((await get('large')).value, large('a'));
    await set('large', large('b'));
    assert.deepEqual((await get('large')).value, large('b'));
    assert.equal((await ask('PUT', at('large'), { body: { value: large('c'), revision: 1 } })).status, 412);
    assert.equal(await blobs(), 1);
    // Readers have one or the other, whole.
    const reading = Promise.all(Array.from({ length: 5 }, () => get('large')));
    await set('large', large('d'));
    for (const { value } of await reading) assert.match((value as { text: string }).text, /^(b+|d+)$/);
    await set('large', 'small');
    assert.equal(await blobs(), 0);
    assert.equal((await get('large')).value, 'small');
  });

  it('is listed by key, in pages', async () => {
    const token = await tokenOf('lister');
    const keys = ['b/2', 'a', 'b/1', 'c', 'b/10', 'ä', '--x'];
    for (const key of keys) await set(key, key.length, {}, { token });
    await ask('DELETE', at('c'), { token });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { body } = await ask('GET', `/shared?limit=2${cursor === undefined ? '' : `&cursor=${cursor}`}`, { token });
      const page = body as unknown as SharedPage;
      assert.ok(page.items.length <= 2 && page.items.every((entry) => !('value' in entry)));
      seen.push(...page.items.map(({ key }) => key));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    assert.deepEqual(seen, ['--x', 'a', 'b/1', 'b/10', 'b/2', 'ä']);
    const { body } = await ask('GET', '/shared?prefix=b%2F', { token });
    assert.deepEqual(
      (body as unknown as SharedPage).items.map(({ key }) => key),
      ['b/1', 'b/10', 'b/2'],
    );
  });

  it('is told of to those whose it is, and to nobody else', async () => {
    const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')];
    const watching = lab.connectTo(lab.url, ann, `?subject=${SUBJECT.sharedEvent('*', '*')}`);
    const foreign = lab.connectTo(lab.url, bob, '?subject=ksi.events.>');
    const one = lab.connectTo(lab.url, ann, `?subject=${SUBJECT.sharedEvent('ann', keyToken('plan: ä'))}`);
    await Promise.all([watching.opened, foreign.opened, one.opened]);
    const { revision } = await set('plan: ä', { step: 1 }, {}, { token: ann });
    await set('other', 1, {}, { token: ann });
    await ask('DELETE', at('plan: ä'), { token: ann });
    await set('mine', 1, {}, { token: bob });
    const event = await watching.until(({ type }) => type === 'SHARED_SET');
    assert.deepEqual(event.data, { owner: 'ann', key: 'plan: ä', revision, size: 10, value: { step: 1 } });
    assert.equal(event.subject, SUBJECT.sharedEvent('ann', keyToken('plan: ä')));
    const gone = await one.until(({ type }) => type === 'SHARED_DELETED');
    assert.ok(Number(gone.data['revision']) > revision);
    assert.deepEqual(
      one.frames.map(({ type }) => type),
      ['SHARED_SET', 'SHARED_DELETED'],
    );
    await foreign.until(({ data }) => data['key'] === 'mine');
    assert.deepEqual([...new Set(foreign.frames.map(({ data }) => data['owner']))], ['bob']);
    for (const each of [watching, foreign, one]) each.socket.terminate();
  });

  it("is an owner's, to be seen by those who see all, and gone with him", async () => {
    const [ann, bob] = [await tokenOf('ann'), await tokenOf('bob')];
    const all = await tokenOf('eve', { all_owners: true });
    await set('secret', 'ann', {}, { token: ann });
    await set('secret', 'x'.repeat(2_000_000), {}, { token: bob });
    assert.equal((await get('secret', { token: ann })).value, 'ann');
    assert.equal((await ask('GET', '/shared/secret?owner=ann', { token: bob })).status, 404);
    assert.equal((await ask('GET', '/shared?owner=ann', { token: bob })).status, 403);
    assert.equal((await ask('GET', '/shared/secret', { token: all })).status, 404);
    assert.equal((await ask('GET', '/shared/secret?owner=ann', { token: all })).body['value'], 'ann');
    await ask('POST', '/identities', { token: bob, body: { agent_id: 'b1' } });
    await ask('PUT', '/profiles/mine', { token: bob, body: {} });
    assert.equal((await ask('DELETE', '/owners/bob')).status, 204);
    const again = await tokenOf('bob');
    for (const path of ['/shared/secret', '/identities/b1', '/profiles/mine'])
      assert.equal((await ask('GET', path, { token: again })).status, 404, path);
    assert.equal(await blobs(), 0);
    assert.equal((await get('secret', { token: ann })).value, 'ann');
  });
});
