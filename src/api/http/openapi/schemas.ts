import type { TSchema } from 'typebox';
import * as contracts from '../../../../contracts/index.js';
import { PATTERN_EXAMPLES } from './pattern-examples.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * Collects the components of the OpenAPI document. Each object or union that contracts/ exports is a component with the name of its export.
 * Schemas that are equal to it, apart from their description, become references. Only referenced components are in the document.
 */
export class Schemas {
  readonly #used = new Map<string, unknown>();

  /** A schema as it appears in the document. Components become references. */
  shown(schema: TSchema): unknown {
    return this.#shown(schema);
  }

  /** A schema in full, even if it is a component. Nested components become references. */
  parts(schema: TSchema): Json {
    return this.#parts(schema as Json) as Json;
  }

  get used(): Record<string, unknown> {
    return Object.fromEntries([...this.#used].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #shown(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.#shown(each));
    if (typeof value !== 'object' || value === null) return value;
    const named = isNameable(value) ? NAMED.get(textOf(value)) : undefined;
    if (named === undefined) return this.#parts(value as Json);
    const { name, description } = named;
    if (!this.#used.has(name)) {
      // Mark the component as known before its parts are visited: it may contain itself.
      this.#used.set(name, undefined);
      this.#used.set(name, this.#parts({ ...value, ...(description === undefined ? {} : { description }) }));
    }
    const own = (value as Json)['description'];
    return { $ref: `#/components/schemas/${name}`, ...(own === description ? {} : { description: own }) };
  }

  #parts(value: Json): unknown {
    const { patternProperties, ...rest } = withExample(value);
    const shown = Object.fromEntries(Object.entries(rest).map(([key, each]) => [key, this.#shown(each)]));
    return patternProperties === undefined ? shown : { ...shown, ...this.#map(patternProperties as Json) };
  }

  /** Converts `patternProperties`, which few client generators support, to `additionalProperties` and `propertyNames`. */
  #map(patternProperties: Json): Json {
    const [[pattern, values] = ['', {}]] = Object.entries(patternProperties);
    return {
      ...(pattern === ANY ? {} : { propertyNames: { pattern } }),
      additionalProperties: this.#shown(values),
    };
  }
}

/** The pattern for all names that `Type.Record(Type.String(), …)` generates. */
const ANY = '^.*$';

/** Only objects and unions become components: a reference to a string is less readable than the string. */
const isNameable = (value: object): boolean =>
  ('type' in value && value.type === 'object' && ('properties' in value || 'patternProperties' in value)) ||
  'anyOf' in value;

/** Two schemas with the same text are equal. */
const textOf = (schema: object): string => JSON.stringify({ ...schema, description: undefined });

const NAMED: ReadonlyMap<string, { readonly name: string; readonly description: unknown }> = new Map(
  Object.entries<unknown>(contracts).flatMap(([name, schema]) =>
    typeof schema === 'object' && schema !== null && '~kind' in schema && isNameable(schema)
      ? [[textOf(schema), { name, description: 'description' in schema ? schema.description : undefined }]]
      : [],
  ),
);

/** Adds an example to a string with a pattern. Without one, tools show a random string that matches the pattern. */
function withExample(value: Json): Json {
  const { type, pattern, examples, default: preset } = value;
  if (type !== 'string' || typeof pattern !== 'string' || examples !== undefined || preset !== undefined) return value;
  const example = PATTERN_EXAMPLES[pattern];
  return example === undefined ? value : { ...value, examples: [example] };
}
