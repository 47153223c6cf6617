import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Svcm } from '@nats-io/services';
import { OPERATIONS } from '../../contracts/api/operations.js';
import type { AuditEntry } from '../../contracts/access/audit.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { requestSchema, type Operation } from '../../contracts/wire/operation.js';
import { ApiLab, type Answer } from '../fixtures/api.js';

interface Documented {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly security?: readonly { readonly token: readonly string[] }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, unknown>>;
  readonly 'x-ksi-audit'?: string;
}

/** Routes without an operation: for probes, and a WebSocket. */
const NO_OPERATION = ['GET /livez', 'GET /readyz', 'GET /metrics', 'GET /events'];

describe('the statements of the operations', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
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
      assert.deepEqual(Object.keys(route?.responses ?? {}), [...Object.keys(answers), '4XX', '5XX']);
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
    const { over, target } = message.json<AuditEntry>();
    found[over] = target;
    if ('http' in found && 'nats' in found) break;
  }
  return found;
}
