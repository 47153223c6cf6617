import type { PROMPT_OPERATIONS } from '../../contracts/prompts/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Prompts } from './service.js';

export const promptHandlers = ({ prompts }: { readonly prompts: Prompts }): Handlers<typeof PROMPT_OPERATIONS> => ({
  compositions: (query) => prompts.page(query),
  composition: ({ name }) => prompts.get(name),
  composition_validate: ({ name, ...request }) => prompts.validate(name, request),
  composition_compose: ({ name, ...request }) => prompts.compose(name, request),
  composition_select: (request) => prompts.select(request),
  components: (query) => prompts.components(query),
});
