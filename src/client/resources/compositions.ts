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
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Compositions of prompts: files of the operator, and files that come with KSI. */
export class Compositions extends Resource {
  /** Lists compositions by name. */
  list(query: CompositionsQuery = {}, options: CallOptions = {}): Listing<CompositionPage> {
    return listing(this.transport, 'compositions', query, options);
  }

  /** Gets a composition with its components. @throws {KsiError} `not_found`, `composition_invalid` */
  get(name: string, options: CallOptions = {}): Promise<CompositionView> {
    return this.transport.call('composition', { name }, options);
  }

  /** Composes a prompt. @throws {KsiError} `not_found`, `context_missing`, `composition_invalid` */
  compose(name: string, context: PromptContext = {}, options: CallOptions = {}): Promise<ComposedPrompt> {
    return this.transport.call('composition_compose', { name, context }, options);
  }

  /** Checks whether a prompt can be composed with this context. @throws {KsiError} `not_found` */
  validate(name: string, context: PromptContext = {}, options: CallOptions = {}): Promise<CompositionValidation> {
    return this.transport.call('composition_validate', { name, context }, options);
  }

  /** Finds the composition that best matches a role, capabilities and a task, and explains the choice. */
  select(request: SelectRequest, options: CallOptions = {}): Promise<SelectAnswer> {
    return this.transport.call('composition_select', request, options);
  }

  /** Lists the components of compositions. */
  components(query: ComponentsQuery = {}, options: CallOptions = {}): Listing<ComponentPage> {
    return listing(this.transport, 'components', query, options);
  }
}
