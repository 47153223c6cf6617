import type {
  ComposedPrompt,
  ComposeRequest,
  Composition,
  CompositionPage,
  CompositionView,
  CompositionsQuery,
  CompositionValidation,
  ComponentsQuery,
  PromptContext,
  SelectAnswer,
  SelectRequest,
} from '../../contracts/prompts/compositions.js';
import { compose, ComposeError, missingContext, validate, type Composing } from './compose.js';
import type { Origin, PromptLibrary } from './library.js';
import { choiceOf, ranked } from './select.js';
import type { Page } from '../../contracts/wire/page.js';
import { ApiError } from '../errors/api-error.js';
import { pageOfAll } from '../lists/page.js';

/** The maximum number of alternatives in an answer. */
const MAX_OTHERS = 5;

/** The prompt operations of the API. */
export class Prompts {
  readonly #library: PromptLibrary;
  readonly #mostChars: number;

  /** @param mostChars the maximum length of a prompt, in characters. */
  constructor(library: PromptLibrary, mostChars: number) {
    this.#library = library;
    this.#mostChars = mostChars;
  }

  /** By name. */
  async page(query: CompositionsQuery): Promise<CompositionPage> {
    const { category } = query;
    const all = [...(await this.#library.compositions()).values()];
    const found = all.filter((each) => 'value' in each);
    const wanted = found.filter(({ value }) => category === undefined || value.metadata['category'] === category);
    const listed = wanted.map(({ value: { components: _components, ...head }, origin }) => ({ ...head, origin }));
    return {
      ...pageOfAll('compositions', listed, ({ name }) => name, query),
      broken: all.flatMap((each) => ('problem' in each ? { name: each.name, problem: each.problem } : [])),
    };
  }

  /** @throws {ApiError} not_found, composition_invalid */
  async get(name: string): Promise<CompositionView> {
    const { composition, origin } = await this.#find(name);
    return { ...composition, origin };
  }

  /** @throws {ApiError} not_found */
  async validate(name: string, { context = {} }: ComposeRequest): Promise<CompositionValidation> {
    const found = (await this.#library.compositions()).get(name);
    if (found === undefined) throw unknown(name);
    if ('problem' in found) return { valid: false, issues: { composition_errors: [found.problem] } };
    return validate(found.value, context, this.#composing());
  }

  /** @throws {ApiError} not_found, context_missing, composition_invalid */
  async compose(name: string, { context = {} }: ComposeRequest): Promise<ComposedPrompt> {
    const { composition } = await this.#find(name);
    try {
      return await compose(composition, context, this.#composing());
    } catch (error) {
      if (!(error instanceof ComposeError)) throw error;
      const faults = error.missing.map((key) => ({ field: `context.${key}`, message: 'is required' }));
      const code = faults.length > 0 ? 'context_missing' : 'composition_invalid';
      throw new ApiError(code, `${name}: ${error.message}`, { faults, cause: error });
    }
  }

  /** Chooses a composition. @param context excludes compositions that require other keys. */
  async select(wanted: SelectRequest, context?: PromptContext): Promise<SelectAnswer> {
    const fits = (each: Composition): boolean => context === undefined || missingContext(each, context).length === 0;
    const scores = ranked((await this.#library.choosable()).filter(fits), wanted);
    const others = scores.slice(1, 1 + MAX_OTHERS).map(({ composition, score }) => ({ composition, score }));
    return { ...choiceOf(scores), others };
  }

  async components(query: ComponentsQuery): Promise<Page<string>> {
    const below = query.directory?.replace(/^components(\/|$)/, '').replace(/\/+$/, '') ?? '';
    const components = (await this.#library.components()).filter(
      (path) => below === '' || below === '.' || path.startsWith(`${below}/`),
    );
    return pageOfAll('components', components, (path) => path, query);
  }

  /** Makes the next request see all current changes of files. */
  reload(): void {
    this.#library.reload();
  }

  #composing(): Composing {
    return { component: (source) => this.#library.component(source), mostChars: this.#mostChars };
  }

  async #find(name: string): Promise<{ composition: Composition; origin: Origin }> {
    const found = (await this.#library.compositions()).get(name);
    if (found === undefined) throw unknown(name);
    if ('problem' in found) throw new ApiError('composition_invalid', `${name}: ${found.problem}`);
    return { composition: found.value, origin: found.origin };
  }
}

const unknown = (name: string): ApiError =>
  new ApiError('not_found', `There is no composition ${name}. GET /compositions lists them`);
