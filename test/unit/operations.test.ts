import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OPERATIONS } from '../../contracts/api/operations.js';
import { requestSchema, type Operation } from '../../contracts/wire/operation.js';
import { pathFields } from '../../contracts/wire/path.js';

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
}
const fieldsOf = (schema: object | undefined): string[] => Object.keys((schema as ObjectSchema)?.properties ?? {});

describe('the operations', () => {
  for (const [name, operation] of Object.entries<Operation>(OPERATIONS))
    it(`${name} names existing fields`, () => {
      const { path, params, query, body, answers, location, etag, text } = operation;
      assert.deepEqual(pathFields(path), fieldsOf(params));
      const requestFields = fieldsOf(requestSchema(operation));
      assert.equal(requestFields.length, [params, query, body].flatMap(fieldsOf).length, 'each field has one place');
      const { 204: _noContent, ...contents } = answers;
      const answered = Object.values(contents).map(fieldsOf);
      assert.ok(Object.keys(answers).length > 0);
      for (const field of pathFields(location ?? '')) assert.ok(answered.at(-1)?.includes(field), `Location: ${field}`);
      if (etag === true) assert.ok([requestFields, ...answered].some((fields) => fields.includes('revision')));
      if (text !== undefined) assert.ok(requestFields.includes('format'));
      if ('audit' in operation && 'target' in operation.audit) {
        const { target = '' } = operation.audit;
        assert.ok(
          [requestFields, ...answered].some((fields) => fields.includes(target)),
          `the audit's target ${target}`,
        );
      }
    });

  it('have distinct routes', () => {
    const routes = Object.values<Operation>(OPERATIONS).map(({ method, path }) => `${method} ${path}`);
    assert.equal(new Set(routes).size, routes.length);
  });
});
