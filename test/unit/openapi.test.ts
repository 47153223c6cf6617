import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TSchema } from 'typebox';
import { OPERATIONS, type OperationName } from '../../contracts/api/operations.js';
import { check } from '../../contracts/wire/check.js';
import type { Operation } from '../../contracts/wire/operation.js';
import { EXAMPLES } from '../../src/api/http/openapi/examples.js';
import { openApiDocument } from '../../src/api/http/openapi/document.js';

type Json = Readonly<Record<string, unknown>>;
interface Described {
  readonly operationId?: string;
  readonly requestBody?: { readonly content: Json };
  readonly responses: Readonly<
    Record<string, { readonly $ref?: string; readonly headers?: Json; readonly content?: Json }>
  >;
}
interface Document extends Json {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, Json>>>>;
}

const document = JSON.parse(JSON.stringify(openApiDocument('0.0.0'))) as Document;
const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
const operation = (id: string): Described | undefined => operations.find(({ operationId }) => operationId === id);

/** All objects of the document. */
function* objectsIn(value: unknown): Generator<Json> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const each of Object.values(value)) yield* objectsIn(each);
}

describe('the OpenAPI document', () => {
  it('names each operation once, and has no broken references', () => {
    const ids = operations.map(({ operationId }) => operationId);
    assert.equal(new Set(ids).size, ids.length);
    assert.ok(!ids.includes(undefined));
    const references = [...objectsIn(document)].flatMap(({ $ref }) => (typeof $ref === 'string' ? [$ref] : []));
    const held = Object.entries(document.components).flatMap(([kind, all]) =>
      Object.keys(all).map((name) => `#/components/${kind}/${name}`),
    );
    assert.deepEqual(
      [...new Set(references)].toSorted(),
      held.filter((name) => !name.includes('/securitySchemes/')).toSorted(),
    );
  });

  it('has one schema per type, such as a task', () => {
    const task = { $ref: '#/components/schemas/Task' };
    for (const [id, status] of Object.entries({ task: 200, cancel: 200, interrupt: 202, input: 202, spawn: 200 }))
      assert.deepEqual(contentOf(id, status), task, id);
    const properties = (name: string): Json => document.components['schemas']?.[name]?.['properties'] as Json;
    assert.ok([...objectsIn(properties('TaskPage'))].some(({ $ref }) => $ref === task.$ref));
    const shapes = new Map<string, string>();
    for (const [name, schema] of Object.entries(document.components['schemas'] ?? {})) {
      const shape = JSON.stringify({ ...schema, description: undefined });
      assert.equal(shapes.get(shape), undefined, `${name} is ${shapes.get(shape)}`);
      shapes.set(shape, name);
    }
    for (const described of operations)
      for (const [status, { content = {} }] of Object.entries(described.responses))
        for (const { schema } of Object.values(content) as { schema: Json }[])
          assert.equal(schema['properties'], undefined, `${described.operationId} ${status}`);
  });

  it('answers each error with a problem document, and each answer with a request id', () => {
    for (const { operationId, responses } of operations)
      for (const [status, answer] of Object.entries(responses)) {
        const reference = answer.$ref?.replace('#/components/responses/', '');
        const { headers, content } =
          reference === undefined ? answer : (document.components['responses']?.[reference] ?? {});
        assert.ok('X-Request-Id' in ((headers ?? {}) as Json), `${operationId} ${status}`);
        if (!/^[45]/.test(status) || operationId === 'readyz') continue;
        assert.deepEqual(
          Object.keys((content ?? {}) as Json),
          ['application/problem+json'],
          `${operationId} ${status}`,
        );
      }
  });

  it('has valid examples, and none that are generated from a pattern', () => {
    const main = ['agent_register', 'approve', 'conversation_create', 'send', 'spawn', 'tasks', 'token_create'];
    assert.deepEqual(Object.keys(EXAMPLES).toSorted(), main);
    for (const [name, { body, answer }] of Object.entries(EXAMPLES)) {
      const { body: schema, answers }: Operation = OPERATIONS[name as OperationName];
      const valid = (against: TSchema | undefined, value: unknown): void =>
        assert.deepEqual(against === undefined ? undefined : check(against, value), { ok: true, value }, name);
      if (schema !== undefined) valid(schema, body);
      valid(Object.values<TSchema>(answers).at(-1), answer);
      assert.ok(JSON.stringify(operation(name)).includes(JSON.stringify(answer)), name);
    }
    for (const { type, pattern, examples, default: preset } of objectsIn(document)) {
      if (type !== 'string' || typeof pattern !== 'string') continue;
      const [example] = (examples as string[] | undefined) ?? [preset as string];
      assert.match(example ?? '', new RegExp(pattern, 'u'));
    }
  });
});

function contentOf(id: string, status: number): unknown {
  const content = operation(id)?.responses[String(status)]?.content?.['application/json'] as { schema: unknown };
  return content.schema;
}
