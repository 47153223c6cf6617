import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import type { TObject } from 'typebox';
import { Svcm } from '@nats-io/services';
import { headers } from '@nats-io/transport-node';
import { pino } from 'pino';
import type { TSchema } from 'typebox';
import { WebSocket } from 'ws';
import { OPERATIONS } from '../../contracts/api/operations.js';
import { HEADER, REQUEST_ID_HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { requestSchema, type Operation } from '../../contracts/wire/operation.js';
import { lastBySubject } from '../../src/broker/read.js';
import { auditEntries } from '../fixtures/audit-entries.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';

interface Documented {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly { readonly token: readonly string[] }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
  readonly 'x-ksi-audit'?: string;
}

/** Answers about a record that another operation shows. */
const UNTAGGED = new Set(['agent_register', 'agent_spawn']);
/** Routes without an operation: for probes, and a WebSocket. */
const NO_OPERATION = ['GET /livez', 'GET /readyz', 'GET /metrics', 'GET /events'];

describe('the statements of the operations', () => {
  let lab: ApiLab;
  /** The API's log. */
  const lines: string[] = [];
  before(async () => {
    lab = await ApiLab.start({}, undefined, pino({ level: 'debug' }, { write: (line) => void lines.push(line) }));
  });
  after(() => lab.stop());

  it('are the routes and the OpenAPI document of the server', async () => {
    const { paths } = (await lab.request('/openapi.json')).body as {
      paths: Record<string, Record<string, Documented>>;
    };
    const documented = new Map(
      Object.entries(paths).flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, operation]) => [
          `${method.toUpperCase()} ${path.replaceAll(/\{([^}]+)\}/g, ':$1')}`,
          operation,
        ]),
      ),
    );
    const all = Object.entries<Operation>(OPERATIONS);
    const routes = all.map(([, { method, path }]) => `${method} ${path}`);
    assert.deepEqual([...documented.keys()].toSorted(), [...routes, ...NO_OPERATION].toSorted());
    for (const [name, operation] of all) {
      const { method, path, tag, scope, body, answers } = operation;
      const route = documented.get(`${method} ${path}`);
      assert.deepEqual([route?.operationId, route?.tags], [name, [tag]]);
      assert.deepEqual(route?.security, scope === undefined ? [] : [{ token: [scope] }]);
      const audited = 'audit' in operation && !('unaudited' in operation.audit);
      assert.equal(route?.['x-ksi-audit'], audited ? name : undefined);
      assert.equal(route?.requestBody !== undefined, body !== undefined);
      const refusals = scope === undefined ? [] : ['401', '403'];
      const empty = [
        ...(operation.event_stream === true ? ['204'] : []),
        ...(method === 'GET' && operation.etag === true ? ['304'] : []),
      ];
      const statuses = [...Object.keys(answers), ...empty, ...refusals, '4XX', '5XX'];
      assert.deepEqual(Object.keys(route?.responses ?? {}), statuses);
      const { headers: other } = await lab.request(path.replaceAll(/:\w+/g, 'x'), { method: 'OPTIONS' });
      assert.ok(other.get('allow')?.split(', ').includes(method), `${method} ${path} is no route`);
    }
  });

  it('are the endpoints of the NATS service, with their schemas', async () => {
    for await (const { endpoints } of await new Svcm(lab.broker.nc).client().info('ksi'))
      for (const { name, metadata } of endpoints ?? []) {
        const operation: Operation = OPERATIONS[name as keyof typeof OPERATIONS];
        assert.deepEqual(JSON.parse(metadata?.['request_schema'] ?? ''), JSON.parse(JSON.stringify(requestSchema(operation)))); // prettier-ignore
        assert.equal(metadata?.['response_schema'] === undefined, Object.keys(operation.answers).join() === '204');
      }
    const info = await lab.broker.nc.request('$SRV.INFO.ksi', '', { timeout: 5_000 });
    const most = lab.broker.nc.info?.max_payload ?? 0;
    assert.ok(info.data.length < most / 2, `${info.data.length} bytes of ${most}`);
  });

  it('say what the audit names, whatever the transport', async () => {
    const { task_id: id } = await lab.spawn();
    const overNats = async (name: string, request: object): Promise<void> => {
      await lab.broker.nc.request(SUBJECT.apiVerb(name), JSON.stringify(request), { timeout: 5_000 });
    };
    const overHttp = (method: string, path: string, body?: object): Promise<unknown> =>
      lab.request(path, {
        method,
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
    const identity = { agent_id: 'ann', role: 'assistant' };
    const cases: [string, object, string, string, object | undefined, string | undefined][] = [
      ['cancel', { id }, 'POST', `/tasks/${id}/cancel`, undefined, id],
      ['interrupt', { id }, 'POST', `/tasks/${id}/interrupt`, undefined, id],
      ['shared_set', { key: 'k', value: 1 }, 'PUT', '/shared/k', { value: 1 }, 'k'],
      ['agent_register', { agent_id: 'bob' }, 'POST', '/agents/register', { agent_id: 'bob' }, 'bob'],
      ['identity_create', identity, 'POST', '/identities', identity, 'ann'],
      ['retention_set', {}, 'PUT', '/retention', {}, undefined],
    ];
    for (const [name, request, method, path, body, target] of cases) {
      await overNats(name, request);
      await overHttp(method, path, body);
      assert.deepEqual(await targetsOf(lab, name), { http: target, nats: target }, name);
    }
  });

  it('answer over HTTP with a request id, which errors and the log name, and with a challenge', async () => {
    for (const [name, { method, path, scope }] of Object.entries<Operation>(OPERATIONS)) {
      const ask = (given?: string, authorization?: string): Promise<Response> =>
        fetch(`${lab.url}${path.replaceAll(/:\w+/g, 'x')}`, {
          method,
          headers: {
            ...(given === undefined ? {} : { [REQUEST_ID_HEADER]: given }),
            ...(authorization === undefined ? {} : { authorization }),
          },
        });
      const mine = `mine-${name}`;
      const [known, ...others] = await Promise.all([
        ask(mine),
        ask(),
        ask('not well formed'),
        ask(undefined, 'Bearer wrong'),
      ]);
      assert.equal(known.headers.get(REQUEST_ID_HEADER), mine, name);
      for (const answer of others)
        assert.match(answer.headers.get(REQUEST_ID_HEADER) ?? '', /^[0-9a-f]{8}-[0-9a-f-]{27}$/, name);
      if (scope === undefined) continue;
      assert.equal(known.headers.get('www-authenticate'), 'Bearer', name);
      assert.equal(others[2]?.headers.get('www-authenticate'), 'Bearer error="invalid_token"', name);
      for (const answer of [known, ...others]) {
        const { request_id: id } = (await answer.json()) as { request_id?: string };
        assert.equal(id, answer.headers.get(REQUEST_ID_HEADER), name);
        assert.ok(
          lines.some((line) => line.includes(`"request_id":"${id}"`)),
          `no line of the log is about ${id}`,
        );
      }
    }
  });

  it('answer over NATS with a request id, which errors and the audit name', async () => {
    for (const name of Object.keys(OPERATIONS)) {
      const given = headers();
      given.set(REQUEST_ID_HEADER, `mine-${name}`);
      for (const headersGiven of [given, headers()]) {
        const answer = await lab.broker.nc.request(SUBJECT.apiVerb(name), 'no JSON', {
          timeout: 5_000,
          headers: headersGiven,
        });
        const id = answer.headers?.get(REQUEST_ID_HEADER);
        assert.equal(answer.json<{ request_id?: string }>().request_id, id, name);
        if (headersGiven === given) assert.equal(id, `mine-${name}`);
        else assert.match(id ?? '', /^[0-9a-f]{8}-[0-9a-f-]{27}$/, name);
      }
    }
    const headersGiven = headers();
    headersGiven.set(REQUEST_ID_HEADER, 'audited');
    await lab.broker.nc.request(SUBJECT.apiVerb('ticket'), '', { timeout: 5_000, headers: headersGiven });
    const consumer = await lab.broker.js.consumers.get(STREAM.audit, {
      filter_subjects: SUBJECT.audit('local', 'ticket'),
    });
    for await (const message of await consumer.consume())
      if (auditEntries(message.data).some(({ request_id: id }) => id === 'audited')) break;
  });

  it('take up the trace context of a request, whatever the transport', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const headersGiven = headers();
    headersGiven.set(HEADER.traceparent, traceparent);
    const body = JSON.stringify({ prompt: 'x' });
    const overNats = await lab.broker.nc.request(SUBJECT.apiVerb('spawn'), body, {
      timeout: 5_000,
      headers: headersGiven,
    });
    const overHttp = await lab.request('/spawn', {
      method: 'POST',
      headers: { 'content-type': 'application/json', traceparent },
      body,
    });
    for (const { task_id: id } of [overNats.json<{ task_id: string }>(), overHttp.body as { task_id: string }]) {
      const event = await lastBySubject(lab.broker, STREAM.events, SUBJECT.taskStates(id));
      assert.equal(event?.header(HEADER.traceparent), traceparent);
    }
  });

  it('are refused over a WebSocket with the id of the request that opened it', async () => {
    const socket = new WebSocket(`${lab.url.replace('http', 'ws')}/events`, {
      headers: { authorization: `Bearer ${TOKEN}`, [REQUEST_ID_HEADER]: 'socket' },
    });
    const upgraded = once(socket, 'upgrade') as Promise<[{ headers: Record<string, string> }]>;
    const refused = new Promise<Record<string, unknown>>((resolve) => {
      socket.on('message', (data: Buffer) => {
        const frame = JSON.parse(String(data)) as Record<string, unknown>;
        if (frame['op'] === 'error') resolve(frame);
      });
    });
    await once(socket, 'open');
    socket.send('no JSON');
    assert.equal((await upgraded)[0].headers[REQUEST_ID_HEADER.toLowerCase()], 'socket');
    assert.equal((await refused)['request_id'], 'socket');
    socket.terminate();
  });

  it('answer 201 with the place of what they create', () => {
    for (const [name, { answers, location }] of Object.entries<Operation>(OPERATIONS))
      if (answers[201] !== undefined) assert.ok(location !== undefined, name);
  });

  it('have an ETag wherever an answer has a revision, and refuse another revision with 412', async () => {
    const call = (method: string, path: string, body?: object, headers: Record<string, string> = {}): Promise<Answer> =>
      lab.request(path, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    for (const [name, { answers, etag }] of Object.entries<Operation>(OPERATIONS))
      for (const answer of Object.values(answers))
        if ((answer as TObject).properties?.['revision'] !== undefined && !UNTAGGED.has(name))
          assert.equal(etag, true, name);
    await call('POST', '/agents/register', { agent_id: 'etag' });
    await call('POST', '/identities', { agent_id: 'etag' });
    await call('PUT', '/profiles/etag', {});
    await call('PUT', '/shared/etag', { value: 1 });
    const made = (await call('POST', '/conversations', { topic: 't', mode: 'debate' })).body;
    await call('POST', `/conversations/${String(made['conversation_id'])}/pause`);
    await call('PUT', '/retention', { tasks_s: 864_000 });
    const changes: [string, string, string, object | undefined][] = [
      ['/agents/etag', 'PATCH', '/agents/etag', { role: 'x' }],
      ['/identities/etag', 'PATCH', '/identities/etag', { role: 'x' }],
      ['/identities/etag', 'DELETE', '/identities/etag', undefined],
      ['/profiles/etag', 'PUT', '/profiles/etag', { role: 'x' }],
      ['/profiles/etag', 'DELETE', '/profiles/etag', undefined],
      ['/shared/etag', 'PUT', '/shared/etag', { value: 2 }],
      ['/shared/etag', 'DELETE', '/shared/etag', undefined],
      ['/retention', 'PUT', '/retention', {}],
      [
        `/conversations/${String(made['conversation_id'])}`,
        'POST',
        `/conversations/${String(made['conversation_id'])}/end`,
        undefined,
      ],
    ];
    for (const [read, method, path, body] of changes) {
      const { headers, body: shown } = await call('GET', read);
      const tag = headers.get('etag') ?? '';
      assert.equal(tag, `"${String(shown['revision'])}"`, path);
      const late = await call(method, path, body, { 'if-match': `"${Number(shown['revision']) + 1}"` });
      assert.deepEqual([late.status, late.body['code']], [412, 'revision_mismatch'], `${method} ${path}`);
      let done = await call(method, path, body, { 'if-match': tag });
      // KSI itself changes a conversation, until its last events are published.
      while (done.status === 412)
        done = await call(method, path, body, { 'if-match': (await call('GET', read)).headers.get('etag') ?? '' });
      assert.ok(done.status < 300, `${method} ${path}: ${JSON.stringify(done.body)}`);
    }
  });

  it('forbid caches to store an answer with a secret', async () => {
    const withSecret = Object.entries<Operation>(OPERATIONS).filter(([, { answers }]) =>
      Object.values<TSchema>(answers).some((schema) =>
        /"(token|ticket|secret|password|seed)":\{/.test(JSON.stringify(schema)),
      ),
    );
    assert.deepEqual(withSecret.map(([name]) => name).toSorted(), ['ticket', 'token_create']);
    for (const [name, { method, path, no_store: noStore }] of withSecret) {
      assert.equal(noStore, true, name);
      const body = name === 'token_create' ? { scopes: ['read'] } : {};
      const answer = await lab.request(path, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      assert.deepEqual(
        [answer.status, answer.headers.get('cache-control')],
        [name === 'ticket' ? 200 : 201, 'no-store'],
        name,
      );
    }
  });

  it('say which fields are read: a query that an operation does not have changes nothing', async () => {
    const set = (path: string, value: number): Promise<Answer> =>
      lab.request(path, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ value }),
      });
    await set('/shared/plain', 1);
    assert.equal((await set('/shared/plain?key=other&revision=999', 2)).status, 200);
    const { body } = await lab.request('/shared/plain');
    assert.deepEqual([body['key'], body['value']], ['plain', 2]);
  });
});

/** The targets of the audit's entries of an operation, by transport. Waits for both. */
async function targetsOf({ broker }: ApiLab, name: string): Promise<Record<string, string | undefined>> {
  const found: Record<string, string | undefined> = {};
  const consumer = await broker.js.consumers.get(STREAM.audit, { filter_subjects: SUBJECT.audit('local', name) });
  for await (const message of await consumer.consume()) {
    for (const { over, target } of auditEntries(message.data)) found[over] = target;
    if ('http' in found && 'nats' in found) break;
  }
  return found;
}
