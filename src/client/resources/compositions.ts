import type {
  ComponentList,
  ComponentsQuery,
  ComposedPrompt,
  CompositionList,
  CompositionShown,
  CompositionsQuery,
  CompositionValidation,
  PromptContext,
  SelectAnswer,
  SelectRequest,
} from '../../../contracts/prompts/compositions.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

type Listed = CompositionList['compositions'][number];

/** What prompts are composed of: files of the operator's, and those that come with KSI. */
export class Compositions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** By name. */
  list(query: CompositionsQuery = {}, options: CallOptions = {}): Listing<CompositionList, Listed> {
    return listing({
      read: () => this.#transport.call('compositions', query, options),
      items: ({ compositions }) => compositions,
    });
  }

  /** @throws {KsiError} `not_found`, `composition_invalid` */
  get(name: string, options: CallOptions = {}): Promise<CompositionShown> {
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
  components(query: ComponentsQuery = {}, options: CallOptions = {}): Promise<ComponentList> {
    return this.#transport.call('components', query, options);
  }
}
