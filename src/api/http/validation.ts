import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { check, type Fault } from '../../../contracts/wire/check.js';
import { invalid, type ApiError } from '../../errors/api-error.js';

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, 1: true, false: false, 0: false };

type Properties = Record<string, { type?: string }>;

/** Converts the text of a query string to the numbers, booleans and lists that the schema expects. */
function parseQuery(schema: TSchema, value: unknown): unknown {
  const { properties } = schema as { properties?: Properties };
  if (properties === undefined || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, text]: [string, unknown]) => [name, parseText(properties[name]?.type, text)]),
  );
}

function parseText(type: string | undefined, text: unknown): unknown {
  if (typeof text !== 'string') return text;
  if (type === 'array') return text.split(',');
  if ((type === 'number' || type === 'integer') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (type === 'boolean') return BOOLEANS[text] ?? text;
  return text;
}

/** Makes Fastify validate with `check`, like all other input. Only query strings are converted. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const parse = httpPart === 'querystring' ? (value: unknown) => parseQuery(schema, value) : (value: unknown) => value;
  return (value: unknown) => {
    // A client sends no body where every field is optional.
    const isAbsent = httpPart === 'body' && value === null && !('required' in schema);
    const result = check(schema, isAbsent ? {} : parse(value));
    return result.ok ? { value: result.value } : { error: faultsError(result.faults, httpPart) };
  };
};

function faultsError(faults: readonly Fault[], httpPart: string | undefined): ApiError {
  const [first] = faults;
  if (httpPart === 'body' && first?.field === '' && first.message === 'must be object')
    return invalid([{ field: '', message: 'must be a JSON object' }]);
  return invalid(faults);
}
