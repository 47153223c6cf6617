import { Ajv, MissingRefError, type ErrorObject } from 'ajv';
import type { Mismatch, ValidationRequest, ValidationResult } from './validation.js';

/** The options that Claude Code (2.1.330) uses to check an answer. KSI must refuse exactly the schemas that Claude would refuse. */
const AS_CLAUDE = { allErrors: true, validateFormats: false, multipleOfPrecision: 6 } as const;

/** Of all mismatches together. A single mismatch may contain the schema twice. */
const MAX_CHARS = 150_000;

/** Ajv's message for an unknown `$schema` begins with this. */
const UNKNOWN_DRAFT = 'no schema with key or ref';

/** Call it in a thread of its own: a schema compiles to code, and its `pattern` may take any amount of time. */
export function validate({ schema, answer }: ValidationRequest): ValidationResult {
  if (schema['type'] !== 'object')
    return noSchema('/type', 'must be "object": Claude answers with the input of a tool, which is an object');
  if (schema['$async'] !== undefined) return noSchema('/$async', 'is not supported');
  const ajv = new Ajv({ ...AS_CLAUDE, logger: false });
  try {
    if (ajv.validateSchema(schema) !== true) return { kind: 'no_schema', mismatches: mismatchesOf(ajv.errors) };
    const fits = ajv.compile(schema);
    if (answer === undefined || fits(parsed(answer))) return { kind: 'fits' };
    return { kind: 'mismatch', mismatches: mismatchesOf(fits.errors) };
  } catch (error) {
    if (error instanceof NotParsed) throw error;
    return noSchema(whereFailed(schema, error), whyFailed(error));
  }
}

class NotParsed extends Error {}

/** An answer of more than 512 MB fits into no string. */
function parsed({ buffer, byteOffset, length }: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(buffer, byteOffset, length).toString());
  } catch (error) {
    throw new NotParsed('the answer could not be parsed', { cause: error });
  }
}

const noSchema = (path: string, message: string): ValidationResult => ({
  kind: 'no_schema',
  mismatches: [{ path, message }],
});

/** One mismatch for each path. If all alternatives fail, the first is the most useful. */
function mismatchesOf(errors: readonly ErrorObject[] | null | undefined): Mismatch[] {
  const byPath = new Map<string, Mismatch>();
  for (const { instancePath: path, keyword, message = '', params } of errors ?? []) {
    const known = keyword === 'required' || keyword === 'additionalProperties' ? `${path} ${message}` : path;
    if (!byPath.has(known)) byPath.set(known, { path, message: worded(message, params), expected: params });
  }
  return someOf([...byPath.values()]);
}

/** As many mismatches as fit into an event. Each item of a long list may be wrong. */
function someOf(all: readonly Mismatch[]): Mismatch[] {
  let chars = 0;
  const some = all.filter((each) => (chars += JSON.stringify(each).length) <= MAX_CHARS);
  const left = all.length - some.length;
  return left === 0 ? some : [...some, { path: '', message: `there are ${left} more mismatches` }];
}

/** Adds the allowed values, or the superfluous field, which Ajv's message lacks. */
function worded(message: string, params: Record<string, unknown>): string {
  const named = params['allowedValues'] ?? params['allowedValue'] ?? params['additionalProperty'];
  return named === undefined ? message : `${message}: ${JSON.stringify(named)}`;
}

const whyFailed = (error: unknown): string => {
  if (error instanceof MissingRefError)
    return `refers to ${error.missingRef}, which is not in this schema. KSI fetches no schemas`;
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(UNKNOWN_DRAFT)
    ? 'must be absent or http://json-schema.org/draft-07/schema#: Claude supports draft 7 only'
    : message;
};

/** Finds the place of a compile error, which Ajv does not report. */
function whereFailed(schema: object, error: unknown): string {
  if (!(error instanceof Error)) return '';
  if (error.message.startsWith(UNKNOWN_DRAFT)) return '/$schema';
  const isCause = (key: string, value: unknown): boolean => {
    if (error instanceof MissingRefError) return key === '$ref' && String(value).endsWith(error.missingRef);
    if (error instanceof SyntaxError) return key === 'pattern' && error.message.includes(String(value));
    return error.message.endsWith(`unknown keyword: "${key}"`);
  };
  return pathOf(schema, isCause) ?? '';
}

function pathOf(within: object, isIt: (key: string, value: unknown) => boolean): string | undefined {
  for (const [key, value] of Object.entries(within)) {
    const step = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (isIt(key, value)) return step;
    const inside = typeof value === 'object' && value !== null ? pathOf(value, isIt) : undefined;
    if (inside !== undefined) return step + inside;
  }
  return undefined;
}
