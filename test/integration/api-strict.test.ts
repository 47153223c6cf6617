import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { TokenCreated } from '../../contracts/access/tokens.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';

const AS_LOCAL = { authorization: `Bearer ${TOKEN}` };
const JSON_TYPE = { 'content-type': 'application/json' };

describe('an API takes a request at its word or refuses it', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const ask = (method: string, path: string, token: string, body?: object): Promise<Answer> =>
    lab.request(path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : JSON_TYPE) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const make = async (request: object): Promise<TokenCreated> => {
    const { status, body } = await ask('POST', '/tokens', TOKEN, request);
    assert.equal(status, 201, JSON.stringify(body));
    return body as unknown as TokenCreated;
  };
  /** Sends bytes and keeps its own side open. Resolves when the API has ended the connection. */
  const raw = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(lab.url);
      const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true }, () => socket.write(text));
      let response = '';
      socket.setEncoding('utf8').on('data', (more: string) => (response += more));
      socket.on('end', () => socket.end());
      socket.on('close', () => resolve(response));
      socket.on('error', reject);
    });

  it('bodies that are not UTF-8, or say that they are not', async () => {
    const post = (body: string | Uint8Array, type: string): Promise<Answer> =>
      lab.request('/spawn', { method: 'POST', headers: { ...AS_LOCAL, 'content-type': type }, body });
    const latin = Buffer.from('{"prompt":"caf\u00e9"}', 'latin1');
    const refusals = [
      await post(latin, 'application/json'),
      await post('{"prompt":"x"}', 'application/json; charset=iso-8859-1'),
      await post(Buffer.from('{"prompt":"x"}', 'utf16le'), 'application/json; charset="utf-16"'),
    ];
    assert.deepEqual(
      refusals.map(({ status, body }) => [status, body['code']]),
      [
        [400, 'invalid_json'],
        [415, 'unsupported_media_type'],
        [415, 'unsupported_media_type'],
      ],
    );
    assert.equal((await post('{"prompt":"café"}', 'application/json; charset=UTF-8')).status, 202);
  });

  it('requests with two Host headers', async () => {
    const response = await raw(
      'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n',
    );
    assert.match(response, /^HTTP\/1\.1 400 /);
  });

  it('upgrades of plain routes, and ends their connections with the answer', async () => {
    const upgrade = 'Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
    assert.match(await raw(`GET /tasks HTTP/1.1\r\n${upgrade}\r\n`), /^HTTP\/1\.1 401 /);
    assert.match(await raw(`GET /health HTTP/1.1\r\n${upgrade}\r\n`), /^HTTP\/1\.1 400 .*invalid_request/s);
    assert.match(await raw(`GET /%ff HTTP/1.1\r\n${upgrade}\r\n`), /^HTTP\/1\.1 40[01] /);
    assert.match(await raw(`GET /nowhere HTTP/1.1\r\n${upgrade}\r\n`), /^HTTP\/1\.1 401 /);
    assert.match(
      await raw(`POST /spawn HTTP/1.1\r\n${upgrade}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n`),
      /^HTTP\/1\.1 40[01] /,
    );
    assert.match(
      await raw(`GET /docs/ HTTP/1.1\r\n${upgrade.replace('websocket', 'h2c')}\r\n`),
      /^HTTP\/1\.1 400 .*invalid_request/s,
    );
  });

  it('tokens that have expired before they are made', async () => {
    const { status, body } = await ask('POST', '/tokens', TOKEN, {
      scopes: ['read'],
      expires_at: new Date(Date.now() - 1_000).toISOString(),
    });
    assert.deepEqual([status, body['code']], [400, 'invalid_request']);
    assert.match(JSON.stringify(body), /expires_at/);
  });

  it('an output_schema that is no schema, naming the place', async () => {
    const fieldsOf = async (output_schema: object): Promise<string[]> => {
      const { status, body } = await ask('POST', '/spawn', TOKEN, { prompt: 'x', output_schema });
      assert.deepEqual([status, body['code']], [400, 'invalid_request']);
      return (body['errors'] as { field: string }[]).map(({ field }) => field);
    };
    assert.deepEqual(await fieldsOf({ type: 'objekt' }), ['output_schema.type']);
    const properties = { a: { $ref: '#/$defs/none' } };
    assert.deepEqual(await fieldsOf({ type: 'object', properties }), ['output_schema.properties.a.$ref']);
    assert.deepEqual(await fieldsOf({ type: 'object', title: 'x'.repeat(65_536) }), ['output_schema']);
    const fine = { prompt: 'x', output_schema: { type: 'object' } };
    assert.equal((await ask('POST', '/spawn', TOKEN, fine)).status, 202);
  });

  it('names that are a step in a path', async () => {
    for (const name of ['.', '..'])
      assert.equal((await ask('POST', '/spawn', TOKEN, { prompt: 'x', session_id: name })).status, 400, name);
    assert.equal((await ask('POST', '/spawn', TOKEN, { prompt: 'x', session_id: '...' })).status, 202);
  });

  it('shows what tasks of all owners cost to a token that sees all owners', async () => {
    const { token } = await make({ scopes: ['read'], owner: 'ann' });
    const metrics = async (as: string): Promise<string> =>
      (await fetch(`${lab.url}/metrics`, { headers: { authorization: `Bearer ${as}` } })).text();
    assert.match(await metrics(TOKEN), /ksi_cost_usd_total/);
    const shown = await metrics(token);
    assert.match(shown, /ksi_spawn_requests_total/);
    assert.doesNotMatch(shown, /owner|ksi_cost_usd_total|ksi_tokens_total/);
  });

  describe('a wait that began while its token held', () => {
    /** What the wait is answered; `begun` resolves once the API has the request. */
    const waits: Readonly<Record<string, (token: string) => Promise<Answer>>> = {
      'for a message': (token) => ask('GET', '/agents/listener/inbox?wait=30', token),
      'for an outcome': (token) => ask('POST', '/spawn?wait=30', token, { prompt: 'x' }),
    };
    const scopes = ['spawn', 'read', 'agents'];

    for (const [name, wait] of Object.entries(waits)) {
      it(`${name} ends with 401 when the token is revoked, and gets nothing that came later`, async () => {
        const { token, token_id: id } = await make({ scopes, owner: 'ann' });
        await ask('POST', '/agents/register', token, { agent_id: 'listener' });
        const waiting = wait(token);
        await untilBegun(name);
        assert.equal((await ask('DELETE', `/tokens/${id}`, TOKEN)).status, 204);
        const { token: other } = await make({ scopes, owner: 'ann' });
        await ask('POST', '/messages', other, { to: 'listener', content: 'SECRET' });
        const { status, body } = await waiting;
        assert.equal(status, 401, JSON.stringify(body));
        assert.ok(!JSON.stringify(body).includes('SECRET'));
        await ask('DELETE', '/agents/listener', other);
      });

      it(`${name} ends with 401 when the token expires`, async () => {
        const { token } = await make({ scopes, owner: 'ann', expires_in_s: 1 });
        await ask('POST', '/agents/register', token, { agent_id: 'listener' });
        assert.equal((await wait(token)).status, 401);
        const { token: other } = await make({ scopes, owner: 'ann' });
        await ask('DELETE', '/agents/listener', other);
      });

      it(`${name} ends with 401 when the owner is deleted`, async () => {
        const { token } = await make({ scopes, owner: 'ben' });
        await ask('POST', '/agents/register', token, { agent_id: 'of-ben' });
        const waiting = name === 'for a message' ? ask('GET', '/agents/of-ben/inbox?wait=30', token) : wait(token);
        await untilBegun(name, 'of-ben');
        assert.equal((await ask('DELETE', '/owners/ben', TOKEN)).status, 204);
        assert.equal((await waiting).status, 401);
      });
    }

    const ends: Readonly<Record<string, (tokenId: string) => Promise<unknown>>> = {
      'the token is revoked': (tokenId) => ask('DELETE', `/tokens/${tokenId}`, TOKEN),
      'the token expires': () => Promise.resolve(),
      'the owner is deleted': () => ask('DELETE', '/owners/cat', TOKEN),
    };
    for (const [how, end] of Object.entries(ends))
      it(`for events, by SSE or WebSocket, ends when ${how}`, async () => {
        const expiry = how.includes('expires') ? { expires_in_s: 4 } : {};
        const { token, token_id: tokenId } = await make({ scopes, owner: 'cat', ...expiry });
        const authorization = `Bearer ${token}`;
        const { body } = await ask('POST', '/spawn', token, { prompt: 'x' });
        const headers = { authorization, accept: 'text/event-stream' };
        const stream = await fetch(`${lab.url}/tasks/${String(body['task_id'])}/events`, { headers });
        const client = lab.connect('', { headers: { authorization } });
        await client.opened;
        await end(tokenId);
        await stream.text();
        assert.equal((await client.closed).code, 4401);
      });

    /** A wait for a message shows as the agent being connected; one for an outcome has its task queued. */
    async function untilBegun(name: string, agent = 'listener'): Promise<void> {
      for (;;) {
        const path = name === 'for a message' ? `/agents/${agent}` : '/tasks?status=queued&limit=1';
        const { body } = await ask('GET', path, TOKEN);
        if (body['connected'] === true || (body['items'] as unknown[] | undefined)?.length === 1) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  });
});
