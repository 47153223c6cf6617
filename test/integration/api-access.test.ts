import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { BUCKET, STREAM, SUBJECT } from '../../contracts/names.js';
import { SCOPES, type Scope, type TokenCreated } from '../../contracts/tokens.js';
import { partsOf } from '../../src/api/tokens/secret.js';
import { lastBySubject } from '../../src/broker/read.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { startApiOn } from '../fixtures/api-on.js';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

describe('access', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
  });
  after(() => lab.stop());

  const ask = (method: Method, path: string, token: string, body?: object): Promise<Answer> =>
    lab.request(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const make = async (scopes: readonly Scope[], more: object = {}): Promise<TokenCreated> => {
    const made = await ask('POST', '/tokens', TOKEN, { scopes, ...more });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return made.body as unknown as TokenCreated;
  };
  const spawnAs = async (token: string, more: object = {}): Promise<{ task_id: string; session_id: string }> => {
    const answer = await ask('POST', '/spawn', token, { prompt: 'x', ...more });
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    return answer.body as unknown as { task_id: string; session_id: string };
  };

  const secretOf = ({ token }: TokenCreated): string => {
    const parts = partsOf(token);
    assert.ok(parts !== undefined);
    return parts.secret;
  };

  describe('tokens', () => {
    it('are shown once, kept as a hash, and listed without', async () => {
      const made = await make(['read'], { owner: 'ann', description: 'for the wall' });
      assert.match(made.token, /^ksi_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
      const stored = await lastBySubject(lab.broker, `KV_${BUCKET.tokens}`, SUBJECT.token(made.token_id));
      const text = new TextDecoder().decode(stored?.data);
      assert.equal(text.includes(secretOf(made)), false);
      const { body } = await ask('GET', '/tokens', TOKEN);
      const [shown] = (body['tokens'] as TokenCreated[]).filter(({ token_id: id }) => id === made.token_id);
      assert.deepEqual([shown?.owner, shown?.scopes, shown?.token], ['ann', ['read'], undefined]);
      assert.equal('hash' in (shown ?? {}), false);
    });

    it('let nobody in that is not quite one, is revoked or has expired', async () => {
      const made = await make(['read'], { expires_in_s: 1 });
      const other = await make(['read']);
      const [id, secret] = [made.token_id, secretOf(made)];
      assert.equal((await ask('GET', '/tasks', made.token)).status, 200);
      for (const token of [
        `${made.token}x`,
        `ksi_${id}_${'A'.repeat(43)}`,
        `ksi_${other.token_id}_${secret}`,
        `ksi_${id}`,
        'ksi',
        '__proto__',
        made.token_id,
      ])
        assert.equal((await ask('GET', '/tasks', token)).status, 401, token);
      const connection = lab.connect('', { headers: { authorization: `Bearer ${made.token}` } });
      await connection.opened;
      assert.equal((await connection.closed).code, 4401, 'a connection ends when its token expires');
      assert.equal((await ask('GET', '/tasks', made.token)).status, 401);
    });

    it('revoked, end their open connections at every API within 5 s', async () => {
      const made = await make(['read', 'spawn']);
      const second = await startApiOn(lab.server.url);
      try {
        const there = await fetch(`${second.url}/tasks`, { headers: { authorization: `Bearer ${made.token}` } });
        assert.equal(there.status, 200, 'it is known at the other API too');
        const connections = [lab.url, second.url].map((url) => lab.connectTo(url, made.token));
        await Promise.all(connections.map(({ opened }) => opened));
        const { task_id: id } = await spawnAs(made.token);
        const stream = await fetch(`${lab.url}/tasks/${id}/events`, {
          headers: { authorization: `Bearer ${made.token}`, accept: 'text/event-stream' },
        });
        const begun = performance.now();
        assert.equal((await ask('DELETE', `/tokens/${made.token_id}`, TOKEN)).status, 204);
        for (const { closed } of connections) assert.equal((await closed).code, 4401);
        await stream.text();
        assert.ok(performance.now() - begun < 5_000);
        assert.equal((await ask('GET', '/tasks', made.token)).status, 401);
        assert.equal((await ask('DELETE', `/tokens/${made.token_id}`, TOKEN)).status, 404);
      } finally {
        await second.stop();
      }
    });

    it('hold after a restart of the API', async () => {
      const made = await make(['read']);
      await lab.stopApi();
      await lab.startApi();
      assert.equal((await ask('GET', '/tasks', made.token)).status, 200);
    });
  });

  describe('scopes', () => {
    it('are asked for by every route', async () => {
      const { task_id: id, session_id: session } = await lab.spawn();
      const talk = uuidv4();
      const routes: readonly [Method, string, Scope, object?][] = [
        ['POST', '/spawn', 'spawn', { prompt: 'x' }],
        ['GET', '/tasks', 'read'],
        ['GET', `/tasks/${id}`, 'read'],
        ['GET', `/tasks/${id}/events`, 'read'],
        ['POST', `/tasks/${id}/interrupt`, 'spawn'],
        ['POST', `/tasks/${id}/input`, 'spawn', { text: 'x' }],
        ['POST', `/tasks/${id}/retry`, 'spawn'],
        ['GET', '/approvals', 'read'],
        ['POST', `/approvals/${id}.1.1`, 'approve', { decision: 'deny' }],
        ['GET', '/sessions', 'read'],
        ['GET', `/sessions/${session}`, 'read'],
        ['GET', `/sessions/${session}/transcript`, 'read'],
        ['GET', `/sessions/${session}/export`, 'read'],
        ['POST', '/sessions/import', 'spawn', { format: 'ksi-session', v: 1, entries: [] }],
        ['GET', '/usage', 'read'],
        ['POST', `/tasks/${id}/cancel`, 'spawn'],
        ['GET', '/dead', 'read'],
        ['GET', `/dead/${id}`, 'read'],
        ['POST', `/dead/${id}/retry`, 'spawn'],
        ['POST', '/dead/retry', 'spawn', {}],
        ['DELETE', `/dead/${id}`, 'spawn'],
        ['POST', '/agents/register', 'agents', { agent_id: 'scoped' }],
        ['POST', '/agents/spawn', 'agents', { agent_id: 'scoped' }],
        ['POST', '/agents/route', 'agents', { task: 'x' }],
        ['GET', '/agents', 'read'],
        ['GET', '/agents/scoped', 'read'],
        ['PATCH', '/agents/scoped', 'agents', { role: 'x' }],
        ['POST', '/agents/scoped/messages', 'agents', { content: 'x' }],
        ['POST', '/messages', 'agents', { to: 'scoped', content: 'x' }],
        ['GET', '/agents/scoped/inbox', 'agents'],
        ['POST', '/agents/scoped/inbox/ack', 'agents', { seq: 1 }],
        ['POST', '/conversations', 'agents', { topic: 'x', mode: 'debate', conversation_id: talk }],
        ['GET', '/conversations', 'read'],
        ['GET', `/conversations/${talk}`, 'read'],
        ['GET', `/conversations/${talk}/transcript`, 'read'],
        ['POST', `/conversations/${talk}/pause`, 'agents'],
        ['POST', `/conversations/${talk}/resume`, 'agents'],
        ['POST', `/conversations/${talk}/say`, 'agents', { text: 'x' }],
        ['POST', `/conversations/${talk}/end`, 'agents'],
        ['DELETE', `/conversations/${talk}`, 'agents'],
        ['DELETE', '/agents/scoped', 'agents'],
        ['GET', '/shared', 'read'],
        ['GET', '/shared/scoped', 'read'],
        ['PUT', '/shared/scoped', 'agents', { value: 1 }],
        ['DELETE', '/shared/scoped', 'agents'],
        ['GET', '/identities', 'read'],
        ['POST', '/identities', 'agents', { agent_id: 'scoped' }],
        ['GET', '/identities/scoped', 'read'],
        ['PATCH', '/identities/scoped', 'agents', { role: 'x' }],
        ['DELETE', '/identities/scoped', 'agents'],
        ['GET', '/profiles', 'read'],
        ['GET', '/profiles/scoped', 'read'],
        ['PUT', '/profiles/scoped', 'agents', {}],
        ['DELETE', '/profiles/scoped', 'agents'],
        ['GET', '/compositions', 'read'],
        ['GET', '/compositions/scoped', 'read'],
        ['POST', '/compositions/scoped/validate', 'read', {}],
        ['POST', '/compositions/scoped/compose', 'read', {}],
        ['POST', '/compositions/select', 'read', {}],
        ['GET', '/components', 'read'],
        ['DELETE', `/tasks/${id}`, 'spawn'],
        ['DELETE', `/sessions/${session}`, 'spawn'],
        ['DELETE', '/owners/nobody', 'admin'],
        ['GET', '/workers', 'read'],
        ['GET', '/queues', 'read'],
        ['GET', '/metrics', 'read'],
        ['GET', '/events', 'read'],
        ['POST', '/tickets', 'read'],
        ['GET', '/tokens', 'admin'],
        ['POST', '/tokens', 'admin', { scopes: ['read'] }],
        ['DELETE', '/tokens/0000000000000000', 'admin'],
      ];
      const document = (await lab.request('/openapi.json')).body as unknown as OpenApi;
      const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).flatMap(([method, { security }]) =>
          security?.length === 0 ? [] : [`${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, ':id')}`],
        ),
      );
      const tried = routes.map(
        ([method, path]) => `${method} ${path.replaceAll(/\/([0-9a-f-]{16,}(\.1\.1)?|nobody|scoped)/g, '/:id')}`,
      );
      assert.deepEqual(
        documented.filter((route) => !tried.includes(route)),
        [],
        'every documented route is tried',
      );
      for (const scope of SCOPES) {
        const { token } = await make([scope], { all_owners: true });
        for (const [method, path, needed, body] of routes) {
          const { status, body: problem } = await ask(method, path, token, body);
          if (scope === needed) assert.notEqual(status, 403, `${scope}: ${method} ${path}`);
          else {
            assert.equal(status, 403, `${scope}: ${method} ${path}`);
            assert.match(String(problem['detail']), new RegExp(`\`${needed}\``));
          }
          assert.ok(status < 500, `${method} ${path} was answered ${status}`);
        }
      }
    });
  });

  describe("another owner's", () => {
    it('task, events and dead letters are as unknown as none', async () => {
      const ann = await make(['spawn', 'read', 'agents'], { owner: 'ann' });
      const bob = await make(['spawn', 'read', 'approve', 'agents'], { owner: 'bob' });
      const registered = { agent_id: 'ann-agent', capabilities: ['x'] };
      assert.equal((await ask('POST', '/agents/register', ann.token, registered)).status, 201);
      assert.equal((await ask('PUT', '/shared/ann-key', ann.token, { value: 1 })).status, 200);
      assert.equal((await ask('POST', '/identities', ann.token, { agent_id: 'ann-agent' })).status, 201);
      assert.equal((await ask('PUT', '/profiles/ann-profile', ann.token, { role: 'x' })).status, 200);
      assert.equal((await ask('POST', '/agents/register', bob.token, { agent_id: 'bob-agent' })).status, 201);
      const taken = await ask('POST', '/agents/register', bob.token, registered);
      assert.deepEqual([taken.status, taken.body['code']], [409, 'agent_exists']);
      const talk = uuidv4();
      const asked = { topic: 'x', mode: 'debate', conversation_id: talk };
      assert.equal((await ask('POST', '/conversations', ann.token, asked)).status, 201);
      assert.equal((await ask('POST', '/conversations', bob.token, asked)).body['code'], 'conflict');
      const all = await make(['read'], { owner: 'eve', all_owners: true });
      const { task_id: id, session_id: session } = await spawnAs(ann.token);
      for (const [method, path, body] of [
        ['POST', `/tasks/${id}/input`, { text: 'x' }],
        ['POST', `/approvals/${id}.1.1`, { decision: 'allow' }],
        ['GET', `/sessions/${session}`],
        ['GET', `/sessions/${session}/transcript`],
        ['GET', `/sessions/${session}/export`],
        ['DELETE', `/sessions/${session}`],
        ['GET', `/tasks/${id}`],
        ['GET', `/tasks/${id}/events`],
        ['POST', `/tasks/${id}/cancel`],
        ['POST', `/tasks/${id}/interrupt`],
        ['POST', `/tasks/${id}/retry`],
        ['GET', `/dead/${id}`],
        ['DELETE', `/dead/${id}`],
        ['POST', `/dead/${id}/retry`],
        ['GET', `/conversations/${talk}`],
        ['GET', `/conversations/${talk}/transcript`],
        ['POST', `/conversations/${talk}/pause`],
        ['POST', `/conversations/${talk}/resume`],
        ['POST', `/conversations/${talk}/say`, { text: 'x' }],
        ['POST', `/conversations/${talk}/end`],
        ['DELETE', `/conversations/${talk}`],
        ['POST', '/conversations', { topic: 'x', mode: 'debate', participants: [{ agent_id: 'ann-agent' }, {}] }],
        ['GET', '/shared/ann-key'],
        ['DELETE', '/shared/ann-key'],
        ['GET', '/identities/ann-agent'],
        ['PATCH', '/identities/ann-agent', { role: 'x' }],
        ['DELETE', '/identities/ann-agent'],
        ['GET', '/profiles/ann-profile'],
        ['DELETE', '/profiles/ann-profile'],
        ['GET', '/agents/ann-agent'],
        ['PATCH', '/agents/ann-agent', { role: 'x' }],
        ['DELETE', '/agents/ann-agent'],
        ['POST', '/agents/ann-agent/messages', { content: 'x' }],
        ['POST', '/messages', { to: 'ann-agent', content: 'x' }],
        ['POST', '/messages', { to: 'bob-agent', from: 'ann-agent', content: 'x' }],
        ['GET', '/agents/ann-agent/inbox'],
        ['POST', '/agents/ann-agent/inbox/ack', { seq: 1 }],
      ] as const)
        assert.equal((await ask(method, path, bob.token, body)).status, 404, `${method} ${path}`);
      const agents = (await ask('GET', '/agents', bob.token)).body['agents'] as { agent_id: string }[];
      assert.deepEqual(
        agents.map(({ agent_id: each }) => each),
        ['bob-agent'],
      );
      const task = { type: 'TASK_ASSIGNMENT', content: 'x', required_capabilities: ['x'] };
      assert.equal((await ask('POST', '/messages', bob.token, task)).body['code'], 'no_suitable_agent');
      const joined = await ask('POST', '/spawn', bob.token, { prompt: 'x', session_id: session });
      assert.deepEqual([joined.status, joined.body['code']], [404, 'session_not_found']);
      const listed = async (token: string, query = ''): Promise<boolean> =>
        ((await ask('GET', `/tasks?limit=500${query}`, token)).body['tasks'] as { task_id: string }[]).some(
          ({ task_id: listedId }) => listedId === id,
        );
      assert.deepEqual(
        [await listed(bob.token), await listed(bob.token, `&session_id=${session}`), await listed(ann.token)],
        [false, false, true],
      );
      assert.equal(await listed(all.token), true);
      assert.equal((await ask('GET', `/tasks/${id}`, all.token)).status, 200);
      assert.equal((await ask('GET', `/tasks/${uuidv7()}`, bob.token)).status, 404);
    });

    it('events never come to a WebSocket, whatever it asks for', async () => {
      const ann = await make(['spawn', 'read'], { owner: 'ann' });
      const bob = await make(['spawn', 'read'], { owner: 'bob' });
      const before = await spawnAs(ann.token);
      const connection = lab.connectTo(lab.url, bob.token, '?since=0');
      await connection.opened;
      connection.send({
        op: 'subscribe',
        id: 's',
        subjects: [`ksi.events.task.${before.task_id}.>`, `ksi.live.task.${before.task_id}`, 'ksi.events.>'],
        since: '0',
      });
      const after = await spawnAs(ann.token);
      const own = await spawnAs(bob.token);
      await connection.until(({ data }) => data?.['task_id'] === own.task_id);
      const owners = new Set(
        connection.frames.flatMap(({ data }) => (data?.['owner'] === undefined ? [] : [data['owner']])),
      );
      assert.deepEqual([...owners], ['bob']);
      assert.equal(
        connection.frames.some(({ data }) => data?.['task_id'] === after.task_id),
        false,
      );
      connection.socket.terminate();
    });

    it('session of the same name is another session', async () => {
      const [ann, bob] = [await make(['spawn'], { owner: 'ann' }), await make(['spawn'], { owner: 'bob' })];
      const name = `notes-${uuidv4().slice(0, 8)}`;
      const one = await spawnAs(ann.token, { session_id: name });
      const two = await spawnAs(bob.token, { session_id: name });
      assert.notEqual(one.session_id, two.session_id);
    });
  });

  describe('a ticket', () => {
    it('opens one WebSocket, at any API, and no other route', async () => {
      const made = await make(['read'], { owner: 'ann' });
      const ticket = async (): Promise<string> => String((await ask('POST', '/tickets', made.token)).body['ticket']);
      const first = await ticket();
      const used = lab.connect(`?ticket=${first}`, { headers: {} });
      await used.opened;
      used.socket.terminate();
      await assert.rejects(lab.connect(`?ticket=${first}`, { headers: {} }).opened, /401/);
      await assert.rejects(lab.connect(`?ticket=${'A'.repeat(43)}`, { headers: {} }).opened, /401/);
      const second = await startApiOn(lab.server.url);
      try {
        const there = lab.connectTo(second.url, undefined, `?ticket=${await ticket()}`);
        await there.opened;
        there.socket.terminate();
      } finally {
        await second.stop();
      }
      const plain = await fetch(`${lab.url}/events?ticket=${await ticket()}`);
      assert.equal(plain.status, 401);
      const race = await ticket();
      const both = await Promise.allSettled(
        [1, 2, 3].map(() => lab.connect(`?ticket=${race}`, { headers: {} }).opened),
      );
      assert.equal(both.filter(({ status }) => status === 'fulfilled').length, 1);
      const revoked = await ticket();
      await ask('DELETE', `/tokens/${made.token_id}`, TOKEN);
      await assert.rejects(lab.connect(`?ticket=${revoked}`, { headers: {} }).opened, /401/);
    });
  });

  describe('a token that has a limit', () => {
    it('is told what is left of its rate, and when to come again', async () => {
      const { token } = await make(['spawn'], { rate: '2/hour' });
      const answers = [];
      for (let n = 0; n < 3; n++) answers.push(await ask('POST', '/spawn', token, { prompt: 'x' }));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [202, 202, 429],
      );
      assert.equal(answers[2]?.body['code'], 'rate_limited');
      const after = Number(answers[2]?.headers.get('retry-after'));
      assert.ok(after >= 1 && after <= 3_600);
      assert.equal(answers[2]?.headers.get('ratelimit'), `"spawn";r=0;t=${after}`);
      assert.equal(answers[0]?.headers.get('ratelimit-policy'), '"spawn";q=2;w=3600');
      assert.match(answers[1]?.headers.get('ratelimit') ?? '', /^"spawn";r=0;t=\d+$/);
    });

    it('has no more tasks open than it may', async () => {
      const { token } = await make(['spawn'], { concurrency: 2 });
      const first = await spawnAs(token);
      await spawnAs(token);
      const refused = await ask('POST', '/spawn', token, { prompt: 'x' });
      assert.deepEqual([refused.status, refused.body['code']], [429, 'rate_limited']);
      assert.equal((await ask('POST', `/tasks/${first.task_id}/cancel`, token)).status, 200);
      await spawnAs(token);
    });
  });

  describe('the doors', () => {
    /** `fetch` sets Host itself. */
    const raw = (path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(lab.url);
        httpRequest({ hostname, port, path, headers }, (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (text: string) => (body += text));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        })
          .on('error', reject)
          .end();
      });
    const authorization = `Bearer ${TOKEN}`;

    it('answer to their own names alone, even to a probe', async () => {
      const { port } = new URL(lab.url);
      for (const host of ['127.0.0.1', `localhost:${port}`, `[::1]:${port}`, `LOCALHOST:${port}`])
        assert.equal((await raw('/tasks', { host, authorization })).status, 200, host);
      for (const host of ['evil.example', `evil.example:${port}`, `127.0.0.1.evil.example`, 'localhost:80@evil', 'a b'])
        for (const path of ['/tasks', '/livez', '/docs']) {
          const { status, body } = await raw(path, { host, authorization });
          assert.ok(status === 403 || status === 400, `${host} ${path} was answered ${status}`);
          if (status === 403) assert.match(body, /host_not_allowed/);
        }
    });

    it('let no page of another origin in, nor its WebSocket', async () => {
      const { port } = new URL(lab.url);
      const host = `localhost:${port}`;
      const from = (origin: string): Promise<{ status: number; body: string }> =>
        raw('/tasks', { host, origin, authorization });
      assert.equal((await from(`http://${host}`)).status, 200);
      for (const origin of [
        'https://evil.example',
        'null',
        `http://localhost:${Number(port) + 1}`,
        `http://${host}.evil.example`,
      ]) {
        const { status, body } = await from(origin);
        assert.equal(status, 403, origin);
        assert.match(body, /origin_not_allowed/);
        assert.doesNotMatch(body, /access-control/i);
      }
      await assert.rejects(
        lab.connect('', { origin: 'https://evil.example', headers: { authorization } }).opened,
        /403/,
      );
      await assert.rejects(lab.connect('', { headers: { authorization, host: 'evil.example' } }).opened, /403/);
    });

    it('send headers that keep pages from misusing what they get', async () => {
      const { headers } = await lab.request('/tasks');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'self'/);
      assert.match(headers.get('x-frame-options') ?? '', /SAMEORIGIN|DENY/);
      assert.equal(headers.get('access-control-allow-origin'), null);
      assert.equal((await lab.request('/docs/static/index.html')).status, 200);
    });
  });

  describe('the audit', () => {
    it('keeps every change: who, what, to what, with what result', async () => {
      const made = await make(['spawn'], { owner: 'carl' });
      const { task_id: id } = await spawnAs(made.token);
      await ask('POST', `/tasks/${id}/cancel`, made.token);
      await ask('POST', `/tasks/${id}/interrupt`, made.token);
      await ask('GET', '/tokens', made.token);
      await ask('POST', '/tokens', made.token, { scopes: ['admin'] });
      const entries: string[] = [];
      while (entries.length < 4) {
        entries.length = 0;
        const consumer = await lab.broker.js.consumers.get(STREAM.audit, { filter_subjects: ['ksi.audit.carl.>'] });
        for await (const message of await consumer.fetch({ max_messages: 10, expires: 1_000 })) {
          const { verb, target, result, token_id: token, over } = message.json<Record<string, string>>();
          assert.deepEqual([token, over], [made.token_id, 'http']);
          entries.push(`${verb} ${target === id ? 'it' : String(target)} ${result}`);
        }
      }
      assert.deepEqual(entries, [
        'spawn it ok',
        'cancel it ok',
        'interrupt it task_ended',
        'token_create undefined forbidden',
      ]);
    });
  });
});

interface OpenApi {
  readonly paths: Record<string, Record<string, { security?: unknown[] }>>;
}
