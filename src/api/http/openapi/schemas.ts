import type { TSchema } from 'typebox';
import * as contracts from '../../../../contracts/index.js';
import { PATTERN_EXAMPLES } from './pattern-examples.js';

type Json = Readonly<Record<string, unknown>>;

/**
 * The named schemas of the OpenAPI document. A schema that contracts/ exports is a component with the name of its export and is
 * referenced wherever it occurs, also where only its description differs. The document holds those that are referenced.
 */
export class Schemas {
  readonly #used = new Map<string, unknown>();

  /** A schema as the document shows it. */
  shown(schema: TSchema): unknown {
    return this.#shown(schema);
  }

  /** The parts of a schema without the schema's own name. */
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
      this.#used.set(name, undefined); // A schema that contains itself is referenced there.
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

  /** The values and names of a map, as generators of clients read them: few know `patternProperties`. */
  #map(patternProperties: Json): Json {
    const [[pattern, values] = ['', {}]] = Object.entries(patternProperties);
    return {
      ...(pattern === ANY ? {} : { propertyNames: { pattern } }),
      additionalProperties: this.#shown(values),
    };
  }
}

/** Every name, as `Type.Record(Type.String(), …)` writes it. */
const ANY = '^.*$';

/** Only objects and unions get names: an alias of a string would say less than the string. */
const isNameable = (value: object): boolean =>
  ('type' in value && value.type === 'object' && ('properties' in value || 'patternProperties' in value)) ||
  'anyOf' in value;

/** What makes two schemas the same. */
const textOf = (schema: object): string => JSON.stringify({ ...schema, description: undefined });

const NAMED: ReadonlyMap<string, { readonly name: string; readonly description: unknown }> = new Map(
  Object.entries<unknown>(contracts).flatMap(([name, schema]) =>
    typeof schema === 'object' && schema !== null && '~kind' in schema && isNameable(schema)
      ? [[textOf(schema), { name, description: 'description' in schema ? schema.description : undefined }]]
      : [],
  ),
);

/** Without an example, tools show a random string that fits the pattern. */
function withExample(value: Json): Json {
  const { type, pattern, examples, default: preset } = value;
  if (type !== 'string' || typeof pattern !== 'string' || examples !== undefined || preset !== undefined) return value;
  const example = PATTERN_EXAMPLES[pattern];
  return example === undefined ? value : { ...value, examples: [example] };
}
