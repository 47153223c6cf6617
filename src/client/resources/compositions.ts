import type {
  ComponentPage,
  ComponentsQuery,
  ComposedPrompt,
  CompositionPage,
  CompositionView,
  CompositionsQuery,
  CompositionValidation,
  PromptContext,
  SelectAnswer,
  SelectRequest,
} from '../../../contracts/prompts/compositions.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** What prompts are composed of: files of the operator's, and those that come with KSI. */
export class Compositions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** By name. */
  list(query: CompositionsQuery = {}, options: CallOptions = {}): Listing<CompositionPage> {
    return listing(this.#transport, 'compositions', query, options);
  }

  /** @throws {KsiError} `not_found`, `composition_invalid` */
  get(name: string, options: CallOptions = {}): Promise<CompositionView> {
    return this.#transport.call('composition', { name }, options);
  }

  /** @throws {KsiError} `not_found`, `context_missing`, `composition_invalid` */
  compose(name: string, context: PromptContext = {}, options: CallOptions = {}): Promise<ComposedPrompt> {
    return this.#transport.call('composition_compose', { name, context }, options);
  }

  /** What is wrong with it, or would be with this context. @throws {KsiError} `not_found` */
  validate(name: string, context: PromptContext = {}, options: CallOptions = {}): Promise<CompositionValidation> {
    return this.#transport.call('composition_validate', { name, context }, options);
  }

  /** The one that fits best, and why. */
  select(request: SelectRequest, options: CallOptions = {}): Promise<SelectAnswer> {
    return this.#transport.call('composition_select', request, options);
  }

  /** What compositions are made of. */
  components(query: ComponentsQuery = {}, options: CallOptions = {}): Listing<ComponentPage> {
    return listing(this.#transport, 'components', query, options);
  }
}
