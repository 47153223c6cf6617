import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { headers as natsHeaders } from '@nats-io/transport-node';
import { SERVICE } from '../../contracts/wire/names.js';
import { ClientFrame } from '../../contracts/api/ws.js';
import { OPERATIONS } from '../../contracts/api/operations.js';
import { requestSchema, type Operation as Statement } from '../../contracts/wire/operation.js';
import { ApiLab, TOKEN } from '../fixtures/api.js';

const SEED = Number(process.env['KSI_TEST_SEED'] ?? 20_261_123);
const RUNS = Number(process.env['KSI_FUZZ_RUNS'] ?? 40);

interface Schema {
  readonly type?: string;
  readonly properties?: Record<string, Schema>;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
  readonly pattern?: string;
}

interface Operation {
  readonly parameters?: readonly { name: string; in: string; schema: Schema }[];
  readonly requestBody?: { content: Record<string, { schema: Schema }> };
}

/** What attackers send where something else is expected. */
const HOSTILE: readonly unknown[] = [
  '',
  '\u0000',
  'ksi.>',
  '*.>',
  '../../etc/passwd',
  '%2e%2e%2f',
  '--dangerously-skip-permissions',
  '$(reboot)',
  "' OR 1=1 --",
  '__proto__',
  'constructor',
  '\u202Eevil\u2066',
  'ﬃ\u0301\uFEFF',
  '\uD800',
  'a'.repeat(10_000),
  `${'a'.repeat(60)}!`,
  -1,
  0,
  1e308,
  -0,
  Number.MAX_SAFE_INTEGER + 1,
  null,
  true,
  [],
  {},
  [[[[[[[[]]]]]]]],
  { __proto__: { admin: true }, constructor: { prototype: { admin: true } } },
];

const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue());

/** Values that fit a schema more or less. */
function fitting(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(fitting));
  if (schema.enum !== undefined) return fc.oneof(fc.constantFrom(...schema.enum), hostile);
  switch (schema.type) {
    case 'string':
      return fc.oneof(fc.string({ unit: 'binary' }), fc.uuid(), hostile);
    case 'integer':
    case 'number':
      return fc.oneof(fc.integer(), fc.double(), hostile);
    case 'boolean':
      return fc.oneof(fc.boolean(), hostile);
    case 'array':
      return fc.oneof(
        fc.array(schema.items === undefined ? hostile : fitting(schema.items), { maxLength: 4 }),
        hostile,
      );
    case 'object': {
      const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => [name, fitting(field)] as const);
      const [some, whole] = [[], schema.required ?? []].map((requiredKeys) =>
        fc.record(Object.fromEntries(fields), { requiredKeys: [...requiredKeys] }),
      ) as [fc.Arbitrary<object>, fc.Arbitrary<object>];
      const known = fc.oneof(some, whole);
      const unknown = fc.dictionary(fc.string(), hostile, { maxKeys: 2 });
      return fc.oneof(
        { weight: 6, arbitrary: known },
        { weight: 1, arbitrary: fc.tuple(known, unknown).map(([a, b]) => ({ ...a, ...b })) },
        { weight: 1, arbitrary: hostile },
      );
    }
    default:
      return hostile;
  }
}

/** What may stand in a header: others no client sends. */
const inHeader = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    hostile.map((value) => JSON.stringify(value) ?? ''),
  )
  .map((text) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, ''));
/** Those that KSI reads, and some that servers trip over. Of `accept`, event streams only take time. */
const headers = fc.record(
  {
    'idempotency-key': inHeader,
    'last-event-id': inHeader,
    traceparent: fc.oneof(inHeader, fc.constant(`00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`)),
    accept: inHeader,
    'content-type': fc.oneof(
      inHeader,
      fc.constantFrom('text/plain', 'application/json; charset=x', 'multipart/form-data'),
    ),
    'content-encoding': fc.constantFrom('gzip', 'br', 'x'),
    'if-none-match': inHeader,
    range: fc.constantFrom('bytes=0-', 'bytes=9-1', 'x'),
    'x-forwarded-host': inHeader,
    'x-http-method-override': fc.constantFrom('DELETE', 'TRACE'),
    cookie: inHeader,
  },
  { requiredKeys: [] },
);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const segment = (value: unknown): string => {
  try {
    return encodeURIComponent(typeof value === 'string' ? value : JSON.stringify(value));
  } catch {
    return '%EF%BF%BD'; // A lone surrogate has no place in a URL.
  }
};

describe('whatever is sent', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start({ KSI_QUEUE_MAX: '100000' });
  });
  after(() => lab.stop());

  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };

  it('over HTTP, no route fails, and each says no in one form', async () => {
    const { paths } = (await lab.request('/openapi.json')).body as unknown as {
      paths: Record<string, Record<string, Operation>>;
    };
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
    );
    assert.ok(operations.length > 15);
    for (const { path, method, operation } of operations) {
      const parameters = operation.parameters ?? [];
      const body = operation.requestBody?.content['application/json']?.schema;
      const given = fc.record({
        path: fc.tuple(...parameters.filter(({ in: where }) => where === 'path').map(({ schema }) => fitting(schema))),
        query: fc.record(
          Object.fromEntries(
            parameters
              // A wait that is granted only takes time.
              .filter(({ in: where, name }) => where === 'query' && name !== 'wait')
              .map(({ name, schema }) => [name, fitting(schema)]),
          ),
          { requiredKeys: [] },
        ),
        body: body === undefined ? fc.constant(undefined) : fitting(body),
        headers,
      });
      await fc.assert(
        fc.asyncProperty(given, async (values) => {
          let index = 0;
          const filled = path.replaceAll(/\{[^}]+\}/g, () => segment(values.path[index++]));
          const query = new URLSearchParams(
            Object.entries(values.query).map(([name, value]): [string, string] => [
              name,
              typeof value === 'string' ? value : JSON.stringify(value),
            ]),
          );
          const sent: Record<string, string> = {
            ...(values.body === undefined ? {} : { 'content-type': 'application/json' }),
            ...values.headers,
          };
          const answer = await lab.request(`${filled}?${query.toString()}`, {
            method,
            headers: sent,
            ...(values.body === undefined ? {} : { body: JSON.stringify(values.body) }),
          });
          assert.ok(answer.status < 500, `${method} ${filled} was answered ${answer.status}`);
          if (answer.status >= 400) {
            assert.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8');
            assert.equal(typeof answer.body['code'], 'string');
            assert.equal(answer.body['status'], answer.status);
          }
        }),
        { seed: SEED, numRuns: RUNS },
      );
    }
    assert.equal(({} as { admin?: unknown }).admin, undefined, 'no prototype was polluted');
    assert.equal((await lab.request('/livez')).status, 200);
  });

  it('over a WebSocket, it goes on, or is closed for what was sent', async () => {
    const frame = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      hostile.map((value) => JSON.stringify(value) ?? ''),
      { weight: 3, arbitrary: fitting(ClientFrame as Schema).map((value) => JSON.stringify(value) ?? '') },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        const client = lab.connect();
        await client.opened;
        for (const text of frames) client.send(text);
        client.send('ping');
        await Promise.race([client.until(({ op }) => op === 'pong'), client.closed]);
        for (const { op, code } of client.frames) if (op === 'error') assert.notEqual(code, 'internal');
        client.socket.terminate();
        await client.closed;
      }),
      { seed: SEED, numRuns: RUNS },
    );
    const plain = lab.connect();
    await plain.opened;
    plain.socket.send(Buffer.from([0, 1, 2]));
    assert.equal((await plain.closed).code, 1003);
    const giant = lab.connect();
    await giant.opened;
    giant.send('x'.repeat(100_000));
    assert.equal((await giant.closed).code, 1009);
  });

  it('to the NATS service, it answers each request', async () => {
    for (const [name, operation] of Object.entries<Statement>(OPERATIONS)) {
      const fields = (requestSchema(operation) as Schema).properties ?? {};
      // A wait that is granted only takes time.
      const { wait: _wait, ...properties } = fields;
      const payload = fc.oneof(
        { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
        { weight: 4, arbitrary: fitting({ type: 'object', properties }).map((value) => JSON.stringify(value) ?? '') },
      );
      await fc.assert(
        fc.asyncProperty(payload, fc.option(fc.string(), { nil: undefined }), async (text, key) => {
          const head = natsHeaders();
          // What the protocol can't carry is no header.
          if (key !== undefined && /^[\x21-\x7e]+$/.test(key)) head.set('Idempotency-Key', key);
          const subject = `${SERVICE.group}.${name}`;
          const reply = await lab.broker.nc.request(subject, text, { timeout: 10_000, headers: head });
          assert.ok(Number(reply.headers?.get('Nats-Service-Error-Code') ?? '0') < 500, `${name}: ${reply.string()}`);
        }),
        { seed: SEED, numRuns: RUNS },
      );
    }
    // Found so: half a character, which JSON can bring.
    const half = await lab.broker.nc.request(`${SERVICE.group}.tasks`, '{"session_id":"\\ud800"}', { timeout: 10_000 });
    assert.equal(half.headers?.get('Nats-Service-Error-Code'), '400');
    assert.equal((await lab.request('/livez')).status, 200);
  });

  it('leaves nothing behind', async () => {
    const flood = async (): Promise<void> => {
      for (let n = 0; n < 300; n++) {
        await lab.request('/tasks/../../x', { method: 'POST', body: '{"a":' });
        await fetch(`${lab.url}/tasks`, { headers: { authorization: `Bearer ${TOKEN}x${n}` } }).then((answer) =>
          answer.text(),
        );
      }
    };
    await flood();
    const before = heap();
    for (let round = 0; round < 3; round++) await flood();
    assert.ok(heap() - before < 50 * 1_048_576, 'memory grows with refused requests');
  });
});
