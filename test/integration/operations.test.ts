import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { after, before, describe, it } from 'node:test';
import type { TObject } from 'typebox';
import { OPERATION_SCHEMAS } from '../../contracts/api/operation-schemas.js';
import { OPERATIONS, pathFields, type Operation, type OperationName } from '../../contracts/api/operations.js';
import { ApiLab } from '../fixtures/api.js';

interface Parameter {
  readonly in: 'path' | 'query';
  readonly name: string;
  readonly required?: boolean;
  readonly schema: Record<string, unknown>;
}
interface Documented {
  readonly operationId?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: ObjectSchema }>> };
  readonly security?: readonly { readonly token: readonly string[] }[];
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: unknown }>> }>>;
  readonly 'x-ksi-audit'?: string;
}
interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
}

/** Routes that are no operation: for probes, and a WebSocket. */
const NO_OPERATION = ['GET /livez', 'GET /readyz', 'GET /metrics', 'GET /events'];

/** A schema as the OpenAPI document writes it. */
const plain = (schema: unknown): unknown =>
  JSON.parse(JSON.stringify(schema), (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { const: only, patternProperties: patterns, ...rest } = value as Record<string, Record<string, unknown>>;
    return {
      ...rest,
      ...(only === undefined ? {} : { enum: [only] }),
      ...(patterns === undefined ? {} : { additionalProperties: Object.values(patterns)[0] }),
    };
  });

/** An answer without content has no schema. */
const isSomething = (schema: unknown): boolean => (schema as { type?: string }).type !== 'undefined';

/** A parameter's schema has no description of its own in OpenAPI: it stands beside it. */
const bare = (schema: unknown): unknown => {
  const { description: _description, ...rest } = plain(schema) as Record<string, unknown>;
  return rest;
};

describe('the table of operations', () => {
  const documented = new Map<string, Documented>();
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start();
    const { paths } = (await lab.request('/openapi.json')).body as {
      paths: Record<string, Record<string, Documented>>;
    };
    for (const [path, methods] of Object.entries(paths))
      for (const [method, operation] of Object.entries(methods))
        documented.set(`${method.toUpperCase()} ${path.replaceAll(/\{([^}]+)\}/g, ':$1')}`, operation);
  });
  after(() => lab.stop());

  it('has every route of the server, and no other', () => {
    const routes = Object.values(OPERATIONS).map(({ method, path }) => `${method} ${path}`);
    assert.deepEqual([...documented.keys()].toSorted(), [...routes, ...NO_OPERATION].toSorted());
  });

  for (const [name, operation] of Object.entries(OPERATIONS) as [OperationName, Operation][])
    it(`says of ${name} what the server does`, () => {
      const { method, path, body, query = [], scope, changes } = operation;
      const route = documented.get(`${method} ${path}`);
      assert.ok(route !== undefined);
      assert.equal(route.operationId, name);
      assert.deepEqual(
        route.security?.flatMap(({ token }) => token),
        scope === undefined ? [] : [scope],
      );
      assert.equal(route['x-ksi-audit'], changes === true ? name : undefined);

      const { request, answer } = OPERATION_SCHEMAS[name];
      const { parameters = [] } = route;
      const inPath = parameters.filter((each) => each.in === 'path').map((each) => each.name);
      const inQuery = parameters.filter((each) => each.in === 'query').map((each) => each.name);
      const sent: ObjectSchema = route.requestBody?.content['application/json']?.schema ?? {};
      const inBody = Object.keys(sent.properties ?? {});
      assert.deepEqual(inPath, pathFields(path));
      assert.equal(route.requestBody !== undefined, body === true);
      if (body === true) assert.deepEqual(inQuery, query);
      assert.deepEqual([...inPath, ...inQuery, ...inBody].toSorted(), Object.keys(request.properties).toSorted());

      const wanted = (request as TObject).properties as Record<string, unknown>;
      for (const { name: field, schema } of parameters) assert.deepEqual(bare(schema), bare(wanted[field]), field);
      for (const [field, schema] of Object.entries(sent.properties ?? {}))
        assert.deepEqual(schema, plain(wanted[field]), field);
      const required = [
        ...parameters.filter((each) => each.required === true).map((each) => each.name),
        ...(sent.required ?? []),
      ];
      assert.deepEqual(required.toSorted(), [...((request as { required?: string[] }).required ?? [])].toSorted());

      const answers = Object.entries(route.responses)
        .filter(([status]) => status.startsWith('2'))
        .flatMap(([, { content = {} }]) => Object.values(content).map(({ schema }) => schema));
      const { anyOf: several = [answer] } = answer as { anyOf?: unknown[] };
      const expected = 'type' in answer && answer.type !== 'object' ? [] : several.map(plain).filter(isSomething);
      assert.equal(answers.length, expected.length);
      for (const schema of expected)
        assert.ok(
          answers.some((each) => isDeepStrictEqual(each, schema)),
          JSON.stringify(schema),
        );
    });
});
