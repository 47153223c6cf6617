import type { FastifyInstance } from 'fastify';
import {
  ComponentList,
  ComponentsQuery,
  ComposedPrompt,
  ComposeRequest,
  CompositionList,
  CompositionShown,
  CompositionsQuery,
  CompositionValidation,
  PromptParams,
  SelectAnswer,
  SelectRequest,
} from '../../../../contracts/prompts/compositions.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

/** Files, which are everybody's: nothing here changes anything. */
export function compositionRoutes(app: FastifyInstance, { prompts }: ApiContext): void {
  app.get<{ Querystring: CompositionsQuery }>(
    '/compositions',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Prompts'],
        summary: 'The compositions that there are',
        querystring: CompositionsQuery,
        response: { 200: CompositionList, ...ERRORS },
      },
    },
    (request) => prompts.list(request.query),
  );
  app.get<{ Params: PromptParams }>(
    '/compositions/:name',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Prompts'],
        summary: 'One composition, with its components',
        params: PromptParams,
        response: { 200: CompositionShown, ...ERRORS },
      },
    },
    (request) => prompts.get(request.params.name),
  );
  app.post<{ Params: PromptParams; Body: ComposeRequest }>(
    '/compositions/:name/validate',
    {
      config: { scope: 'read', unaudited: 'it only reads' },
      schema: {
        tags: ['Prompts'],
        summary: 'Whether it can be composed with a context, and what is wrong if not',
        params: PromptParams,
        body: ComposeRequest,
        response: { 200: CompositionValidation, ...ERRORS },
      },
    },
    (request) => prompts.validate(request.params.name, request.body),
  );
  app.post<{ Params: PromptParams; Body: ComposeRequest }>(
    '/compositions/:name/compose',
    {
      config: { scope: 'read', unaudited: 'it only reads' },
      schema: {
        tags: ['Prompts'],
        summary: 'Compose a prompt',
        params: PromptParams,
        body: ComposeRequest,
        response: { 200: ComposedPrompt, ...ERRORS },
      },
    },
    (request) => prompts.compose(request.params.name, request.body),
  );
  app.post<{ Body: SelectRequest }>(
    '/compositions/select',
    {
      config: { scope: 'read', unaudited: 'it only reads' },
      schema: {
        tags: ['Prompts'],
        summary: 'The composition that fits a role, capabilities and a task best, and why',
        body: SelectRequest,
        response: { 200: SelectAnswer, ...ERRORS },
      },
    },
    (request) => prompts.select(request.body),
  );
  app.get<{ Querystring: ComponentsQuery }>(
    '/components',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Prompts'],
        summary: 'The components that there are',
        querystring: ComponentsQuery,
        response: { 200: ComponentList, ...ERRORS },
      },
    },
    (request) => prompts.components(request.query),
  );
}
