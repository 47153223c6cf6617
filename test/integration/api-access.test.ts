import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join, relative } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { BUCKET, HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { SCOPES, type Scope, type TokenCreated } from '../../contracts/access/tokens.js';
import { Authenticator } from '../../src/access/auth.js';
import { buildHttpServer } from '../../src/api/http/edge/server.js';
import { partsOf } from '../../src/access/tokens/secret.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { readConfig } from '../../src/config/load.js';
import { auditEntries } from '../fixtures/audit-entries.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { startApiOn } from '../fixtures/api-on.js';
import { silent } from '../fixtures/connection.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { systemClock } from '../../src/clock.js';

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
  const refused = async (token: string): Promise<void> => {
    const { status, headers } = await ask('GET', '/tasks', token);
    assert.deepEqual([status, headers.get('www-authenticate')], [401, 'Bearer error="invalid_token"'], token);
  };
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
    it('are shown once, stored as a hash, and listed without the secret', async () => {
      const made = await make(['read'], { owner: 'ann', description: 'for the wall' });
      assert.match(made.token, /^ksi_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/);
      const stored = await lastBySubject(lab.broker, `KV_${BUCKET.tokens}`, SUBJECT.token(made.token_id));
      const text = new TextDecoder().decode(stored?.data);
      assert.equal(text.includes(secretOf(made)), false);
      const { body } = await ask('GET', '/tokens', TOKEN);
      const [shown] = (body['items'] as TokenCreated[]).filter(({ token_id: id }) => id === made.token_id);
      assert.deepEqual([shown?.owner, shown?.scopes, shown?.token], ['ann', ['read'], undefined]);
      assert.equal('hash' in (shown ?? {}), false);
    });

    it('are refused if they are malformed, revoked or expired', async () => {
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
        await refused(token);
      const connection = lab.connect('', { headers: { authorization: `Bearer ${made.token}` } });
      await connection.opened;
      assert.equal((await connection.closed).code, 4401, 'a connection ends when its token expires');
      await refused(made.token);
    });

    it('that are revoked end their open connections at every API within 5 s', async () => {
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
        await refused(made.token);
        assert.equal((await ask('DELETE', `/tokens/${made.token_id}`, TOKEN)).status, 404);
      } finally {
        await second.stop();
      }
    });

    it('remain valid after a restart of the API', async () => {
      const made = await make(['read']);
      await lab.stopApi();
      await lab.startApi();
      assert.equal((await ask('GET', '/tasks', made.token)).status, 200);
    });
  });

  /** One of each thing that somebody may have. */
  const thingsOf = async (owner: string): Promise<Things> => {
    const { token } = await make(['spawn', 'read', 'approve', 'agents'], { owner });
    const secret = `canary-${uuidv4()}`;
    const { task_id: task, session_id: session } = await spawnAs(token, { prompt: secret });
    const { task_id: over, session_id: ended } = await spawnAs(token);
    assert.equal((await ask('POST', `/tasks/${over}/cancel`, token)).status, 200);
    const dead = uuidv7();
    const command = { v: 1, task_id: dead, session_id: uuidv7(), owner, queue: 'default', prompt: secret };
    const timestamp = new Date().toISOString();
    const error = { code: 'claude_crashed', message: secret, retryable: true };
    await lab.broker.publisher.publish({
      subject: SUBJECT.dead('default', dead),
      payload: JSON.stringify({
        ...command,
        prompt: undefined,
        given_up: 'attempts_exhausted',
        timestamp,
        error,
        history: [],
        command: { ...command, priority: 'normal', accepted_at: timestamp },
      }),
    });
    const approval = `${task}.1.1`;
    const asked = { task_id: task, session_id: session, owner, approval_id: approval, attempt: 1, kind: 'tool' };
    const request = newEvent(systemClock, 'APPROVAL_REQUESTED', {
      ...asked,
      tool: secret,
      expires_at: timestamp,
    } as never);
    await lab.broker.publisher.publish(eventPublication(request, SUBJECT.taskApproval(task)));
    const entry = { type: 'user', message: { role: 'user', content: secret } };
    await lab.broker.publisher.publish({
      subject: SUBJECT.transcript(session),
      payload: JSON.stringify({ v: 1, entries: [entry] }),
      headers: { [HEADER.owner]: owner },
    });
    const [agent, talk] = [`${owner}-agent`, uuidv4()];
    for (const [method, path, body] of [
      ['POST', '/agents/register', { agent_id: agent, role: secret, capabilities: [owner] }],
      ['POST', `/agents/${agent}/messages`, { content: secret }],
      ['PUT', `/shared/${owner}-key`, { value: secret }],
      ['POST', '/identities', { agent_id: agent, display_name: secret }],
      ['PUT', `/profiles/${owner}-profile`, { role: secret }],
      ['POST', '/conversations', { topic: secret, mode: 'debate', conversation_id: talk }],
    ] as const)
      assert.ok((await ask(method, path, token, body)).status < 300, path);
    const kept = await make(['read'], { owner, description: secret });
    const things = { owner, token, secret, task, session, ended, dead, approval, agent, talk, kept: kept.token_id };
    // The events come to the API in their own time.
    for (const [path, shown] of [
      ['/approvals', secret],
      ['/sessions', session],
      ['/usage?by=session', ended],
      ['/agents', agent],
      [`/agents/${agent}/inbox`, secret],
    ] as const)
      while (!JSON.stringify((await ask('GET', path, token)).body).includes(shown));
    return things;
  };
  /**
   * Every route of the API: what a token needs for it, where it meets `mine`, and what somebody else is answered there. Also where
   * that is 200, nothing of `mine` may stand in it. A route that isn't here fails.
   */
  const routesFor = (mine: Things): Readonly<Record<string, Route>> => ({
    'POST /spawn': ['spawn', '/spawn', 404, { prompt: 'x', session_id: mine.session }],
    'GET /tasks': ['read', `/tasks?limit=500`, 200],
    'GET /tasks/:id': ['read', `/tasks/${mine.task}`, 404],
    'GET /tasks/:id/events': ['read', `/tasks/${mine.task}/events`, 404],
    'GET /tasks/:id/output': ['read', `/tasks/${mine.ended}/output`, 404],
    'GET /tasks/:id/events/:event_id/body': ['read', `/tasks/${mine.ended}/events/${mine.ended}/body`, 404],
    'POST /tasks/:id/interrupt': ['spawn', `/tasks/${mine.task}/interrupt`, 404],
    'POST /tasks/:id/input': ['spawn', `/tasks/${mine.task}/input`, 404, { text: 'x' }],
    'POST /tasks/:id/retry': ['spawn', `/tasks/${mine.task}/retry`, 404],
    'GET /approvals': ['read', '/approvals', 200],
    'POST /approvals/:id': ['approve', `/approvals/${mine.approval}`, 404, { decision: 'deny' }],
    'GET /approvals/rules': ['read', '/approvals/rules', 200],
    'DELETE /approvals/rules/:id': ['approve', `/approvals/rules/${mine.task}`, 404],
    'GET /sessions': ['read', '/sessions?limit=500', 200],
    'GET /sessions/:id': ['read', `/sessions/${mine.session}`, 404],
    'GET /sessions/:id/transcript': ['read', `/sessions/${mine.session}/transcript`, 404],
    'GET /sessions/:id/export': ['read', `/sessions/${mine.session}/export`, 404],
    'GET /sessions/:id/files': ['read', `/sessions/${mine.session}/files`, 404],
    'GET /sessions/:id/files/content': ['read', `/sessions/${mine.session}/files/content?path=x`, 404],
    'GET /sessions/:id/files/archive': ['read', `/sessions/${mine.session}/files/archive`, 404],
    'GET /sessions/:id/diff': ['read', `/sessions/${mine.session}/diff`, 404],
    // Says that there is one, as a new session can't have its id, and no more.
    'POST /sessions/import': [
      'spawn',
      '/sessions/import',
      409,
      { format: 'ksi-session', v: 1, session_id: mine.session, entries: [{ type: 'user' }] },
    ],
    'GET /retention': ['read', '/retention', 200],
    'PUT /retention': ['spawn', '/retention', 200, {}],
    'GET /retention/preview': ['read', '/retention/preview', 200],
    'POST /retention/run': ['admin', '/retention/run', 403],
    'GET /usage': ['read', '/usage?by=session', 200],
    'GET /dead': ['read', '/dead?limit=500', 200],
    'GET /dead/:id': ['read', `/dead/${mine.dead}`, 404],
    'POST /dead/retry': ['spawn', '/dead/retry', 403, { owner: mine.owner }],
    'POST /dead/:id/retry': ['spawn', `/dead/${mine.dead}/retry`, 404],
    'DELETE /dead/:id': ['spawn', `/dead/${mine.dead}`, 404],
    'POST /tasks/:id/cancel': ['spawn', `/tasks/${mine.task}/cancel`, 404],
    'DELETE /tasks': ['spawn', `/tasks?owner=${mine.owner}`, 403],
    'DELETE /tasks/:id': ['spawn', `/tasks/${mine.task}`, 404],
    'DELETE /sessions/:id': ['spawn', `/sessions/${mine.session}`, 404],
    'POST /agents/register': ['agents', '/agents/register', 409, { agent_id: mine.agent }],
    // Nobody says what Claude runs without `spawn`.
    'POST /agents/spawn': [['agents', 'spawn'], '/agents/spawn', 409, { agent_id: mine.agent, task: 'x' }],
    'POST /agents/route': ['agents', '/agents/route', 409, { task: 'x', required_capabilities: [mine.owner] }],
    'GET /agents': ['read', '/agents', 200],
    'GET /agents/:id': ['read', `/agents/${mine.agent}`, 404],
    'PATCH /agents/:id': ['agents', `/agents/${mine.agent}`, 404, { role: 'x' }],
    'POST /agents/:id/messages': ['agents', `/agents/${mine.agent}/messages`, 404, { content: 'x' }],
    'POST /messages': ['agents', '/messages', 404, { to: mine.agent, content: 'x' }],
    'GET /agents/:id/inbox': ['agents', `/agents/${mine.agent}/inbox`, 404],
    'POST /agents/:id/inbox/ack': ['agents', `/agents/${mine.agent}/inbox/ack`, 404, { seq: 1 }],
    'DELETE /agents/:id': ['agents', `/agents/${mine.agent}`, 404],
    'GET /shared': ['read', '/shared', 200],
    'GET /shared/:key': ['read', `/shared/${mine.owner}-key`, 404],
    'DELETE /shared/:key': ['agents', `/shared/${mine.owner}-key`, 404],
    // Everybody has keys of their own: this makes another one.
    'PUT /shared/:key': ['agents', `/shared/${mine.owner}-key`, 200, { value: 1 }],
    'GET /identities': ['read', '/identities', 200],
    'GET /identities/:agent_id': ['read', `/identities/${mine.agent}`, 404],
    'PATCH /identities/:agent_id': ['agents', `/identities/${mine.agent}`, 404, { role: 'x' }],
    'DELETE /identities/:agent_id': ['agents', `/identities/${mine.agent}`, 404],
    // And identities, one for each agent's name.
    'POST /identities': ['agents', '/identities', 201, { agent_id: mine.agent }],
    'GET /profiles': ['read', '/profiles', 200],
    'GET /profiles/:name': ['read', `/profiles/${mine.owner}-profile`, 404],
    'DELETE /profiles/:name': ['agents', `/profiles/${mine.owner}-profile`, 404],
    'PUT /profiles/:name': ['agents', `/profiles/${mine.owner}-profile`, 200, {}],
    'GET /compositions': ['read', '/compositions', 200],
    'GET /compositions/:name': ['read', '/compositions/none', 404],
    'POST /compositions/:name/validate': ['read', '/compositions/none/validate', 404, {}],
    'POST /compositions/:name/compose': ['read', '/compositions/none/compose', 404, {}],
    'POST /compositions/select': ['read', '/compositions/select', 200, {}],
    'GET /components': ['read', '/components', 200],
    'GET /conversations': ['read', '/conversations', 200],
    'GET /conversations/:id': ['read', `/conversations/${mine.talk}`, 404],
    'GET /conversations/:id/transcript': ['read', `/conversations/${mine.talk}/transcript`, 404],
    'POST /conversations/:id/pause': ['agents', `/conversations/${mine.talk}/pause`, 404],
    'POST /conversations/:id/resume': ['agents', `/conversations/${mine.talk}/resume`, 404],
    'POST /conversations/:id/say': ['agents', `/conversations/${mine.talk}/say`, 404, { text: 'x' }],
    'POST /conversations/:id/end': ['agents', `/conversations/${mine.talk}/end`, 404],
    'DELETE /conversations/:id': ['agents', `/conversations/${mine.talk}`, 404],
    'POST /conversations': [
      ['agents', 'spawn'],
      '/conversations',
      409,
      { topic: 'x', mode: 'debate', conversation_id: mine.talk },
    ],
    'GET /exchanges/:id': ['read', `/exchanges/${mine.task}`, 404],
    'GET /workers': ['read', '/workers', 200],
    // It is the cluster's, and no owner's.
    'POST /workers/lift-limit': ['admin', '/workers/lift-limit', 403],
    'GET /queues': ['read', '/queues', 200],
    'GET /workspaces': ['read', '/workspaces', 200],
    'GET /metrics': ['read', '/metrics', 200],
    // Without an upgrade; with one below.
    'GET /events': ['read', '/events', 400],
    'POST /tickets': ['read', '/tickets', 200],
    'GET /tokens': ['admin', '/tokens', 200],
    'POST /tokens': ['admin', '/tokens', 403, { scopes: ['read'], owner: mine.owner }],
    'GET /tokens/:id': ['admin', `/tokens/${mine.kept}`, 404],
    'DELETE /tokens/:id': ['admin', `/tokens/${mine.kept}`, 404],
    'DELETE /owners/:id': ['admin', `/owners/${mine.owner}`, 403],
  });

  describe('every route', () => {
    it('is known to this test', async () => {
      const document = (await lab.request('/openapi.json')).body as unknown as OpenApi;
      const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
        Object.entries(methods).flatMap(([method, { security }]) =>
          security?.length === 0 ? [] : [`${method.toUpperCase()} ${path.replaceAll(/\{([^}]+)\}/g, ':$1')}`],
        ),
      );
      const known = Object.keys(routesFor({} as Things));
      assert.deepEqual(documented.toSorted(), known.toSorted());
      // Nothing else adds routes: those of a start have no token to ask for, and the other methods answer 405.
      const adding = [...sourcesOf('src/api')]
        .filter(([, text]) => /\bapp\.(route|get)[(<]/.test(text))
        .map(([file]) => file);
      assert.deepEqual(adding.toSorted(), [
        'src/api/http/method-not-allowed.ts',
        'src/api/http/mount.ts',
        'src/api/http/probes.ts',
        'src/api/startup-server.ts',
        'src/api/ws/route.ts',
      ]);
    });

    it('requires its scope', async () => {
      const things = await thingsOf('greta');
      for (const scope of SCOPES) {
        const { token } = await make([scope], { all_owners: true });
        for (const [route, [needed, path, , body]] of Object.entries(routesFor(things))) {
          const { status, body: problem, headers } = await ask(methodOf(route), path, token, body);
          const missing = [needed].flat().filter((each) => each !== scope);
          if (missing.length === 0) assert.notEqual(status, 403, `${scope}: ${route}`);
          else {
            assert.equal(status, 403, `${scope}: ${route}`);
            assert.match(String(problem['detail']), new RegExp(`\`(${missing.join('|')})\``));
            assert.match(headers.get('www-authenticate') ?? '', /^Bearer error="insufficient_scope", scope="[a-z]+"$/);
          }
          // No worker runs here that could read a working folder.
          const unreachable = /\/(files|diff)/.test(route) && problem['code'] === 'worker_unreachable';
          assert.ok(status < 500 || unreachable, `${route} was answered ${status}`);
        }
      }
    });

    it("neither shows nor changes another owner's objects, even with all scopes", async () => {
      const ann = await thingsOf('ann');
      const bob = await make(SCOPES, { owner: 'bob' });
      const { owner: _owner, token: _token, ...told } = ann;
      for (const [route, [, path, expected, body]] of Object.entries(routesFor(ann))) {
        const { status, body: response } = await ask(methodOf(route), path, bob.token, body);
        assert.equal(status, expected, `${route}: ${JSON.stringify(response)}`);
        const text = JSON.stringify(response);
        // A refusal may name what was asked for.
        const asked = JSON.stringify([path, body]);
        const secrets = (status < 300 ? Object.values(told) : [ann.secret]).filter((each) => !asked.includes(each));
        for (const each of secrets) assert.equal(text.includes(each), false, `${route} shows ${each}`);
      }
      const stream = await fetch(`${lab.url}/tasks/${ann.task}/events`, {
        headers: { authorization: `Bearer ${bob.token}`, accept: 'text/event-stream' },
      });
      assert.equal(stream.status, 404);
      for (const body of [
        { prompt: 'x', session_id: ann.session, fork: true },
        { prompt: 'x', session_id: ann.session, resume_only: true },
      ])
        assert.equal((await ask('POST', '/spawn', bob.token, body)).status, 404, JSON.stringify(body));
      for (const path of [`/tasks?session_id=${ann.session}`, '/dead?owner=ann', `/tasks/${uuidv7()}`]) {
        const { status, body } = await ask('GET', path, bob.token);
        assert.ok(status === 404 || !JSON.stringify(body).includes(ann.secret), path);
      }
      assert.equal((await ask('GET', '/usage?owner=ann', bob.token)).status, 403);
      // All of it is still there, for its owner and for one who sees all.
      const eve = await make(['read'], { owner: 'eve', all_owners: true });
      for (const token of [ann.token, eve.token])
        for (const [path, found] of [
          ['/approvals', ann.approval],
          [`/tasks/${ann.task}`, 'queued'],
          [`/dead/${ann.dead}`, ann.secret],
          [`/agents/${ann.agent}`, ann.secret],
          [`/conversations/${ann.talk}`, ann.secret],
          [`/sessions/${ann.session}/transcript`, ann.secret],
          ['/tasks?limit=500', ann.task],
          ['/usage?by=session', ann.ended],
        ] as const) {
          const { status, body } = await ask('GET', path, token);
          assert.deepEqual([status, JSON.stringify(body).includes(found)], [200, true], path);
        }
      const tokens = JSON.stringify((await ask('GET', '/tokens', TOKEN)).body);
      assert.ok(tokens.includes(ann.kept));
    });

    it('has a scope, and serves an operation if it changes something, so that the audit records it', async () => {
      const app = await buildHttpServer({
        config: readConfig({ KSI_NATS_URL: lab.server.url }),
        log: silent,
        authenticator: new Authenticator(TOKEN),
        tls: undefined,
      });
      const handler = (): undefined => undefined;
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
        assert.throws(() => app.route({ method, url: '/x', config: { scope: 'spawn' }, handler }), /audit/);
      assert.throws(() => app.route({ method: 'GET', url: '/y', handler }), /no scope/);
      await app.close();
    });
  });

  describe('a token for agents that may not spawn', () => {
    it('can neither create a managed agent nor change its options in any way', async () => {
      const both = await make(['agents', 'spawn'], { owner: 'fred' });
      const { token } = await make(['agents', 'read'], { owner: 'fred' });
      const managed = { agent_id: 'fred-managed', kind: 'managed', options: { model: 'm' } };
      assert.equal((await ask('POST', '/agents/register', both.token, managed)).status, 201);
      assert.equal((await ask('PUT', '/profiles/fred', token, { options: { allowed_tools: ['Bash'] } })).status, 200);
      const options = { allowed_tools: ['Bash'] };
      for (const [method, path, body] of [
        ['POST', '/agents/register', { agent_id: 'fred-2', kind: 'managed' }],
        ['POST', '/agents/register', { agent_id: 'fred-2', options }],
        ['POST', '/agents/register', { ...managed, options }],
        ['POST', '/agents/spawn', { agent_id: 'fred-2', task: 'x' }],
        ['POST', '/agents/spawn', { profile: 'fred', task: 'x' }],
        ['POST', '/conversations', { topic: 'x', mode: 'debate' }],
        ['PATCH', '/agents/fred-managed', { options }],
        ['PATCH', '/agents/fred-managed', { agent_tools: ['spawn'] }],
        ['PATCH', '/agents/fred-managed', { profile: 'fred' }],
      ] as const) {
        const answer = await ask(method, path, token, body);
        assert.deepEqual([answer.status, answer.body['code']], [403, 'forbidden'], `${path} ${JSON.stringify(body)}`);
        assert.match(String(answer.body['detail']), /`spawn`/);
      }
      assert.equal((await ask('POST', '/agents/register', token, { agent_id: 'fred-3' })).status, 201);
      assert.equal((await ask('POST', '/agents/fred-managed/messages', token, { content: 'x' })).status, 202);
    });
  });

  describe('a token without access to all owners', () => {
    it('creates, lists and revokes only tokens of its own owner', async () => {
      const admin = await make(['admin'], { owner: 'ann' });
      const others = await make(['read'], { owner: 'bob' });
      for (const more of [{ all_owners: true }, { owner: 'bob' }, { owner: 'local' }]) {
        const { status, body } = await ask('POST', '/tokens', admin.token, { scopes: ['read'], ...more });
        assert.deepEqual([status, body['code']], [403, 'forbidden'], JSON.stringify(more));
      }
      const own = await ask('POST', '/tokens', admin.token, { scopes: ['read'] });
      assert.deepEqual([own.status, own.body['owner'], own.body['all_owners']], [201, 'ann', false]);
      const listed = (await ask('GET', '/tokens', admin.token)).body['items'] as TokenCreated[];
      assert.deepEqual([...new Set(listed.map(({ owner }) => owner))], ['ann']);
      assert.equal((await ask('DELETE', `/tokens/${others.token_id}`, admin.token)).status, 404);
      assert.equal((await ask('GET', '/tasks', others.token)).status, 200);
      assert.equal((await ask('DELETE', `/tokens/${String(own.body['token_id'])}`, admin.token)).status, 204);
    });

    it('does not wait for an answer beyond its expiry', async () => {
      const made = await make(['spawn'], { owner: 'wanda' });
      const waiting = ask('POST', '/spawn?wait=60', made.token, { prompt: 'x' });
      while (!JSON.stringify((await ask('GET', '/tasks?limit=500', TOKEN)).body).includes('wanda'));
      assert.equal((await ask('DELETE', `/tokens/${made.token_id}`, TOKEN)).status, 204);
      assert.equal((await waiting).status, 401);
    });
  });

  describe("another owner's", () => {
    it('approval cannot be answered over a WebSocket, and no approval without the scope', async () => {
      const dora = await thingsOf('dora');
      const [bob, reader] = [
        await make(['read', 'approve'], { owner: 'bob' }),
        await make(['read'], { owner: 'dora' }),
      ];
      for (const [token, code] of [
        [bob.token, 'not_found'],
        [reader.token, 'forbidden'],
      ] as const) {
        const connection = lab.connectTo(lab.url, token);
        await connection.opened;
        connection.send({ op: 'approve', id: 'a', approval_id: dora.approval, decision: 'allow' });
        assert.match(String((await connection.until(({ op }) => op === 'error')).code), new RegExp(code));
        connection.socket.terminate();
      }
    });

    it('events never reach a WebSocket, whatever it subscribes to', async () => {
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
    /** What is answered to an upgrade of any path. */
    const upgraded = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(lab.url);
        let response = '';
        const head = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket`;
        const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
        const socket = connect(Number(port), hostname, () => socket.write(`${head}\r\n${key}\r\n\r\n`));
        socket.setEncoding('latin1').on('data', (data: string) => (response += data));
        socket.on('error', reject);
        socket.on('close', () => resolve(response));
      });

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
      for (const path of ['/workers', '/metrics', '/tasks', '/approvals', '/tokens'])
        assert.match(await upgraded(`${path}?ticket=${await ticket()}`), /^HTTP\/1\.1 40[01] /, path);
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
    it('gets its remaining quota and the time to retry', async () => {
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

    it('is limited by its rate for retries too', async () => {
      const { token } = await make(['spawn'], { rate: '2/hour' });
      const { task_id: id } = await spawnAs(token);
      assert.equal((await ask('POST', `/tasks/${id}/cancel`, token)).status, 200);
      assert.equal((await ask('POST', `/tasks/${id}/retry`, token)).status, 202);
      const refused = await ask('POST', `/tasks/${id}/retry`, token);
      assert.deepEqual([refused.status, refused.body['code']], [429, 'rate_limited']);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      assert.match(refused.headers.get('ratelimit') ?? '', /r=0/);
    });

    it('cannot exceed its limit of open tasks', async () => {
      const { token } = await make(['spawn'], { concurrency: 2 });
      const first = await spawnAs(token);
      await spawnAs(token);
      const refused = await ask('POST', '/spawn', token, { prompt: 'x' });
      assert.deepEqual([refused.status, refused.body['code']], [429, 'rate_limited']);
      assert.equal((await ask('POST', `/tasks/${first.task_id}/cancel`, token)).status, 200);
      await spawnAs(token);
    });
  });

  describe('the host and origin policy', () => {
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

    it('accepts only its own host names, even for a probe', async () => {
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

    it('refuses pages of other origins and their WebSockets', async () => {
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

    it('sends headers that prevent pages from misusing answers', async () => {
      const { headers } = await lab.request('/tasks');
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'self'/);
      assert.match(headers.get('x-frame-options') ?? '', /SAMEORIGIN|DENY/);
      assert.equal(headers.get('access-control-allow-origin'), null);
      assert.equal((await lab.request('/docs/static/index.html')).status, 200);
    });
  });

  describe('the audit', () => {
    it('records every change with its owner, operation, target and result', async () => {
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
          for (const { verb, target, result, token_id: token, over } of auditEntries(message.data)) {
            assert.deepEqual([token, over], [made.token_id, 'http']);
            entries.push(`${verb} ${target === id ? 'it' : String(target)} ${result}`);
          }
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

interface Things {
  readonly owner: string;
  readonly token: string;
  /** Stands in the prompt, the transcript, the dead letter and the approval. */
  readonly secret: string;
  readonly task: string;
  readonly session: string;
  /** A session whose task has ended. */
  readonly ended: string;
  readonly dead: string;
  readonly approval: string;
  readonly agent: string;
  /** A conversation. */
  readonly talk: string;
  /** The id of another token. */
  readonly kept: string;
}

/** The scope, or all that it takes, the path, what another owner is answered, and the body. */
type Route = readonly [scope: Scope | readonly Scope[], path: string, foreign: number, body?: object];

const methodOf = (route: string): Method => route.slice(0, route.indexOf(' ')) as Method;

function* sourcesOf(folder: string): Generator<[file: string, text: string]> {
  for (const entry of readdirSync(join(REPO_ROOT, folder), { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.name.endsWith('.ts')) yield [relative(REPO_ROOT, file), readFileSync(file, 'utf8')];
  }
}

interface OpenApi {
  readonly paths: Record<string, Record<string, { security?: unknown[] }>>;
}
