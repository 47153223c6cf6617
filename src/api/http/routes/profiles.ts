import type { FastifyInstance } from 'fastify';
import { PromptParams } from '../../../../contracts/prompts/compositions.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import { Profile, ProfileList, ProfileShown } from '../../../../contracts/agents/profiles.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function profileRoutes(app: FastifyInstance, { profiles }: ApiContext): void {
  app.get(
    '/profiles',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Profiles'],
        summary: 'What agents can be made of: your profiles, and those that are files',
        response: { 200: ProfileList, ...ERRORS },
      },
    },
    (request) => profiles.list(principalOf(request)),
  );
  app.get<{ Params: PromptParams }>(
    '/profiles/:name',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Profiles'],
        summary: 'One profile',
        params: PromptParams,
        response: { 200: ProfileShown, ...ERRORS },
      },
    },
    (request) => profiles.get(request.params.name, principalOf(request)),
  );
  app.put<{ Params: PromptParams; Body: Profile }>(
    '/profiles/:name',
    {
      config: { scope: 'agents', audit: 'profile_set' },
      schema: {
        tags: ['Profiles'],
        summary: 'Keep a profile',
        description:
          'In the place of what you kept under this name; a file of it is yours no more until you delete it.',
        params: PromptParams,
        body: Profile,
        response: { 200: ProfileShown, ...ERRORS },
      },
    },
    (request) => {
      request.target = request.params.name;
      return profiles.set(request.params.name, request.body, principalOf(request));
    },
  );
  app.delete<{ Params: PromptParams }>(
    '/profiles/:name',
    {
      config: { scope: 'agents', audit: 'profile_delete' },
      schema: {
        tags: ['Profiles'],
        summary: 'Delete a profile of yours',
        description: 'A file of its name is in force again.',
        params: PromptParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      request.target = request.params.name;
      await profiles.delete(request.params.name, principalOf(request));
      return reply.code(204).send();
    },
  );
}
