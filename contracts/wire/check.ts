import { Compile } from 'typebox/compile';
import { IsDateTime, Set as setFormat } from 'typebox/format';
import type { Static, TSchema } from 'typebox';
import { beginningOf, extentOf } from './extent.js';

/** A validation fault. `field` is a dotted path; '' is the value itself. */
export interface Fault {
  field: string;
  message: string;
}

export type Checked<T> = { ok: true; value: T } | { ok: false; faults: Fault[] };

interface SchemaError {
  keyword: string;
  instancePath: string;
  message: string;
  params: Record<string, unknown>;
}

// RFC 3339 has leap seconds and RFC 9557 has suffixes (`[Europe/Paris]`). `Date` reads neither.
setFormat('date-time', (value) => IsDateTime(value) && !Number.isNaN(Date.parse(value)));

const compiled = new WeakMap<TSchema, ReturnType<typeof Compile>>();

const compile = (schema: TSchema) => {
  let validator = compiled.get(schema);
  if (validator === undefined) compiled.set(schema, (validator = Compile(schema)));
  return validator;
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An optional field that is `null` counts as absent (docs/design/terms-and-wire.md#null-is-absent). */
function withoutNullOptionals(schema: TSchema, value: unknown): unknown {
  if (!isRecord(value)) return value;
  const { required = [], properties } = schema as { required?: string[]; properties?: Record<string, unknown> };
  if (properties === undefined || !Object.values(value).includes(null)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(
      ([key, field]) => field !== null || required.includes(key) || !Object.hasOwn(properties, key),
    ),
  );
}

/** If a value has more parts than this, faults are reported only for its beginning: reporting takes a thousand times as long as checking. */
const MAX_REPORTED = 20_000;
const BEGINNING = 1_000;

/** Validates a value from outside. Closed schemas refuse unknown fields by name. */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  const { tooMuch, values } = extentOf(value);
  if (tooMuch !== undefined) return { ok: false, faults: [{ field: '', message: tooMuch }] };
  const candidate = withoutNullOptionals(schema, value);
  const validator = compile(schema);
  if (validator.Check(candidate)) return { ok: true, value: candidate as Static<S> };
  const reported = values <= MAX_REPORTED ? candidate : beginningOf(candidate, BEGINNING);
  const errors: readonly SchemaError[] = validator.Errors(reported);
  const faults = errors.flatMap(toFaults);
  return { ok: false, faults: faults.length > 0 ? faults : [{ field: '', message: 'is invalid' }] };
}

const dotted = (pointer: string): string =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.');

const namesIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

function toFaults(error: SchemaError): Fault[] {
  const path = dotted(error.instancePath);
  switch (error.keyword) {
    case 'required':
      return namesIn(error.params['requiredProperties']).map((name) => ({
        field: path === '' ? name : `${path}.${name}`,
        message: 'is required',
      }));
    // Unknown fields: one `boolean` error for each, and one `additionalProperties` error for all.
    case 'boolean':
      return [{ field: path, message: 'is an unknown field' }];
    case 'additionalProperties':
      return [];
    case 'enum':
      return [{ field: path, message: `must be one of ${JSON.stringify(error.params['allowedValues'])}` }];
    default:
      return [{ field: path, message: error.message }];
  }
}
