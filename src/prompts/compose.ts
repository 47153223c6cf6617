import type { ComposedPrompt, Composition, CompositionValidation } from '../../contracts/prompts/compositions.js';
import { ConditionError } from './condition/condition.js';
import { holds, type Context } from './condition/holds.js';
import { parseCondition } from './condition/parse.js';
import { ComponentError } from './component-file.js';
import { expand, lookupIn, TooLongError } from './expand.js';

/** A composition cannot be composed. */
export class ComposeError extends Error {
  override readonly name = 'ComposeError';
  /** Required keys that the context lacks. */
  readonly missing: readonly string[];

  constructor(what: string, missing: readonly string[] = [], options: { cause?: unknown } = {}) {
    super(what, options);
    this.missing = missing;
  }
}

export interface Composing {
  /** The text of a component. @throws {ComponentError} */
  readonly component: (source: string) => Promise<string>;
  /** The maximum length of a prompt, in characters. */
  readonly mostChars: number;
}

/** Required keys that the context lacks. A key with the value null is not missing. */
export const missingContext = ({ required_context: required }: Composition, context: Context): string[] =>
  Object.keys(required).filter((key) => !Object.hasOwn(context, key));

/** Composes a prompt from the components whose conditions hold, with their values filled in, separated by blank lines. @throws {ComposeError} */
export async function compose(
  composition: Composition,
  context: Context,
  { component, mostChars }: Composing,
): Promise<ComposedPrompt> {
  const missing = missingContext(composition, context);
  if (missing.length > 0) throw new ComposeError(`The context lacks ${listed(missing)}`, missing);
  const parts: string[] = [];
  const components: string[] = [];
  const unresolved = new Set<string>();
  let left = mostChars;
  for (const { name, source, vars, condition } of composition.components) {
    try {
      if (condition !== undefined && !holds(parseCondition(condition), context)) continue;
      const expanded = expand(trimmed(await component(source)), lookupIn(context, vars, left), left);
      left -= expanded.text.length + SEPARATOR.length;
      for (const key of expanded.unresolved) unresolved.add(key);
      parts.push(expanded.text);
      components.push(name);
    } catch (error) {
      if (!isFault(error)) throw error;
      throw new ComposeError(`Component ${name}: ${error.message}`, [], { cause: error });
    }
  }
  const prompt = parts.join(SEPARATOR);
  return { prompt, length: prompt.length, composition: composition.name, components, unresolved: [...unresolved] };
}

const SEPARATOR = '\n\n';

/** Removes leading and trailing blank lines. The first line keeps its indentation. */
const trimmed = (text: string): string => text.replace(/^(?:[ \t]*\r?\n)+/, '').trimEnd();

const isFault = (error: unknown): error is Error =>
  error instanceof ConditionError || error instanceof ComponentError || error instanceof TooLongError;

const listed = (keys: readonly string[]): string => keys.map((key) => `\`${key}\``).join(', ');

/** Checks a composition: first all of its components, then composing it with this context. */
export async function validate(
  composition: Composition,
  context: Context,
  composing: Composing,
): Promise<CompositionValidation> {
  const issues = await issuesOf(composition, composing);
  if (issues !== undefined) return { valid: false, issues };
  const missing = missingContext(composition, context);
  if (missing.length > 0)
    return { valid: false, missing_context: missing, required_context: composition.required_context };
  try {
    const { length, unresolved } = await compose(composition, context, composing);
    return { valid: true, prompt_length: length, ...(unresolved.length === 0 ? {} : { unresolved }) };
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error;
    return { valid: false, issues: { composition_errors: [error.message] } };
  }
}

/** The faults of all components, including those whose conditions do not hold. */
async function issuesOf(
  { components }: Composition,
  { component }: Composing,
): Promise<CompositionValidation['issues']> {
  const missing = new Set<string>();
  const invalid: string[] = [];
  for (const { name, source, condition } of components) {
    try {
      if (condition !== undefined) parseCondition(condition);
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error;
      invalid.push(`${name}: ${error.message}`);
    }
    try {
      await component(source);
    } catch (error) {
      if (!(error instanceof ComponentError)) throw error;
      missing.add(source);
    }
  }
  if (missing.size === 0 && invalid.length === 0) return undefined;
  return {
    ...(missing.size === 0 ? {} : { missing_components: [...missing] }),
    ...(invalid.length === 0 ? {} : { invalid_conditions: invalid }),
  };
}
