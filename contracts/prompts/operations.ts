import { operations, type Statements } from '../wire/operation.js';
import {
  ComponentPage,
  ComponentsQuery,
  ComposedPrompt,
  ComposeRequest,
  CompositionPage,
  CompositionView,
  CompositionsQuery,
  CompositionValidation,
  PromptParams,
  SelectAnswer,
  SelectRequest,
} from './compositions.js';

const READS = { unaudited: 'it only reads' } as const;

/** Compositions and components are files that every owner can read. No operation changes them. */
export const PROMPT_OPERATIONS = operations('Prompts', {
  compositions: {
    method: 'GET',
    path: '/compositions',
    summary: 'List compositions',
    scope: 'read',
    query: CompositionsQuery,
    answers: { 200: CompositionPage },
  },
  composition: {
    method: 'GET',
    path: '/compositions/:name',
    summary: 'Get a composition, with its components',
    scope: 'read',
    params: PromptParams,
    answers: { 200: CompositionView },
  },
  composition_validate: {
    method: 'POST',
    path: '/compositions/:name/validate',
    summary: 'Check whether a prompt can be composed with a context',
    scope: 'read',
    params: PromptParams,
    body: ComposeRequest,
    answers: { 200: CompositionValidation },
    audit: READS,
    repeatable: 'always',
  },
  composition_compose: {
    method: 'POST',
    path: '/compositions/:name/compose',
    summary: 'Compose a prompt',
    scope: 'read',
    params: PromptParams,
    body: ComposeRequest,
    answers: { 200: ComposedPrompt },
    audit: READS,
    repeatable: 'always',
  },
  composition_select: {
    method: 'POST',
    path: '/compositions/select',
    summary: 'Find the composition that best matches a role, capabilities and a task, and why',
    scope: 'read',
    body: SelectRequest,
    answers: { 200: SelectAnswer },
    audit: READS,
    repeatable: 'always',
  },
  components: {
    method: 'GET',
    path: '/components',
    summary: 'List components',
    scope: 'read',
    query: ComponentsQuery,
    answers: { 200: ComponentPage },
  },
} as const satisfies Statements);
