import { isScalar, parseDocument, type Document } from 'yaml';
import { Type, type Static } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import type { Composition } from '../../contracts/prompts/compositions.js';

/** A composition is about a page. A much longer one is a mistake or an attack. */
export const MAX_COMPOSITION_BYTES = 262_144;
const MAX_COMPONENTS = 200;
/** The number of nodes that aliases may expand to. Without a limit, a few lines of YAML could expand to gigabytes. */
const MAX_ALIASES = 100;

/** A composition file is invalid. */
export class CompositionError extends Error {
  override readonly name = 'CompositionError';
}

const anything = Type.Record(Type.String(), Type.Unknown());
const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

/** The format of the file. Unknown fields are ignored. */
const File = Type.Object({
  name: Type.Optional(Type.String()),
  version: Type.Optional(Type.Union([Type.String(), Type.Number()])),
  description: orNull(Type.String()),
  author: orNull(Type.String()),
  components: Type.Array(
    Type.Object({
      name: Type.Optional(Type.String()),
      source: Type.String({ minLength: 1, maxLength: 512 }),
      vars: orNull(anything),
      condition: Type.Optional(Type.Union([Type.String(), Type.Boolean(), Type.Null()])),
    }),
    { maxItems: MAX_COMPONENTS },
  ),
  required_context: orNull(anything),
  metadata: orNull(anything),
});
type File = Static<typeof File>;

/**
 * Parses a composition: YAML 1.2 with maps, lists, strings, numbers and booleans only.
 * @param name the file name without its extension, which is the composition's name. @throws {CompositionError}
 */
export function parseComposition(text: string, name: string): Composition {
  if (Buffer.byteLength(text) > MAX_COMPOSITION_BYTES)
    throw new CompositionError(`It has more than ${MAX_COMPOSITION_BYTES} bytes`);
  const { document, value } = read(text);
  const file = check(File, value);
  if (!file.ok)
    throw new CompositionError(
      file.faults.map(({ field, message }) => `${field === '' ? 'It' : `\`${field}\``} ${message}`).join('; '),
    );
  return compositionOf(file.value, name, document);
}

function read(text: string): { document: Document; value: unknown } {
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: true, merge: false });
    // Warnings report YAML that is not plain data, such as custom tags.
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) throw new CompositionError(fault.message);
    return { document, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    if (error instanceof CompositionError) throw error;
    // Too many aliases, or nested too deeply.
    throw new CompositionError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function compositionOf(file: File, name: string, document: Document): Composition {
  return {
    name,
    version: versionOf(file, document),
    description: file.description ?? '',
    author: file.author ?? '',
    components: file.components.map(({ name: part, source, vars, condition }) => ({
      name: part ?? source,
      source,
      vars: vars ?? {},
      // `true` and empty conditions always hold.
      ...(condition === undefined || condition === null || condition === '' || condition === true
        ? {}
        : { condition: condition === false ? 'False' : condition }),
    })),
    required_context: file.required_context ?? {},
    metadata: file.metadata ?? {},
  };
}

/** YAML parses `version: 1.0` as a number. Its source text keeps the form. */
function versionOf({ version }: File, document: Document): string {
  if (typeof version !== 'number') return version ?? '';
  const node = document.get('version', true);
  return isScalar(node) && typeof node.source === 'string' ? node.source : String(version);
}
