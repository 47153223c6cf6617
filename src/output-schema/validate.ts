import { Ajv, MissingRefError, type ErrorObject } from 'ajv';
import type { Mismatch, Question, Verdict } from './verdict.js';

/** The options of Claude's own check of the answer (2.1.330): what it refuses as a schema must be refused before it runs, and nothing else. */
const AS_CLAUDE = { allErrors: true, validateFormats: false, multipleOfPrecision: 6 } as const;

/** Of all mismatches together. One alone may hold the schema twice. */
const MOST_CHARS = 150_000;

/** The beginning of Ajv's words for a `$schema` that it does not know. */
const UNKNOWN_DRAFT = 'no schema with key or ref';

/** Answers in full. Run it in a thread of its own: a schema can make it take any time (`pattern`), and compiles to code. */
export function validate({ schema, answer }: Question): Verdict {
  if (schema['type'] !== 'object')
    return noSchema('/type', 'must be "object": Claude answers with the input of a tool, which is an object');
  if (schema['$async'] !== undefined) return noSchema('/$async', 'is not supported');
  const ajv = new Ajv({ ...AS_CLAUDE, logger: false });
  try {
    if (ajv.validateSchema(schema) !== true) return { kind: 'no_schema', mismatches: mismatchesOf(ajv.errors) };
    const fits = ajv.compile(schema);
    if (answer === undefined || fits(answer.value)) return { kind: 'fits' };
    return { kind: 'mismatch', mismatches: mismatchesOf(fits.errors) };
  } catch (error) {
    return noSchema(whereFailed(schema, error), whyFailed(error));
  }
}

const noSchema = (path: string, message: string): Verdict => ({ kind: 'no_schema', mismatches: [{ path, message }] });

/** One for each path: of alternatives that all fail, the first says most. */
function mismatchesOf(errors: readonly ErrorObject[] | null | undefined): Mismatch[] {
  const byPath = new Map<string, Mismatch>();
  for (const { instancePath: path, keyword, message = '', params } of errors ?? []) {
    const known = keyword === 'required' || keyword === 'additionalProperties' ? `${path} ${message}` : path;
    if (!byPath.has(known)) byPath.set(known, { path, message: worded(message, params), expected: params });
  }
  return someOf([...byPath.values()]);
}

/** As many as fit into an event together with the rest of it: each item of a long list may be wrong. */
function someOf(all: readonly Mismatch[]): Mismatch[] {
  let chars = 0;
  const some = all.filter((each) => (chars += JSON.stringify(each).length) <= MOST_CHARS);
  const left = all.length - some.length;
  return left === 0 ? some : [...some, { path: '', message: `there are ${left} more mismatches` }];
}

/** Ajv names neither the values that are allowed nor the field that is too much. */
function worded(message: string, params: Record<string, unknown>): string {
  const named = params['allowedValues'] ?? params['allowedValue'] ?? params['additionalProperty'];
  return named === undefined ? message : `${message}: ${JSON.stringify(named)}`;
}

const whyFailed = (error: unknown): string => {
  if (error instanceof MissingRefError) return `names nothing in this schema: ${error.missingRef}. It is not fetched`;
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith(UNKNOWN_DRAFT)
    ? 'must be absent or http://json-schema.org/draft-07/schema#: Claude knows draft 7 alone'
    : message;
};

/** Ajv says what it could not compile, but not where that stands. */
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
