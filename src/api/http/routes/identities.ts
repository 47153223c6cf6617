import type { FastifyInstance } from 'fastify';
import { Problem } from '../../../../contracts/wire/problem.js';
import {
  IdentitiesQuery,
  Identity,
  IdentityPage,
  IdentityParams,
  IdentityRequest,
  IdentityUpdate,
} from '../../../../contracts/agents/identities.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function identityRoutes(app: FastifyInstance, { identities }: ApiContext): void {
  app.get<{ Querystring: IdentitiesQuery }>(
    '/identities',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Identities'],
        summary: 'Who your agents are to people',
        querystring: IdentitiesQuery,
        response: { 200: IdentityPage, ...ERRORS },
      },
    },
    (request) => identities.page(request.query, principalOf(request)),
  );
  app.post<{ Body: IdentityRequest }>(
    '/identities',
    {
      config: { scope: 'agents', audit: 'identity_create' },
      schema: {
        tags: ['Identities'],
        summary: 'Give an agent an identity',
        description: 'What is not said goes by its role. 409 when it has one.',
        body: IdentityRequest,
        response: { 201: Identity, ...ERRORS },
      },
    },
    async (request, reply) => {
      request.target = request.body.agent_id;
      const made = await identities.create(request.body, principalOf(request));
      return reply.code(201).header('location', `/identities/${made.agent_id}`).send(made);
    },
  );
  app.get<{ Params: IdentityParams }>(
    '/identities/:agent_id',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Identities'],
        summary: 'One identity',
        params: IdentityParams,
        response: { 200: Identity, ...ERRORS },
      },
    },
    (request) => identities.get(request.params.agent_id, principalOf(request)),
  );
  app.patch<{ Params: IdentityParams; Body: IdentityUpdate }>(
    '/identities/:agent_id',
    {
      config: { scope: 'agents', audit: 'identity_update' },
      schema: {
        tags: ['Identities'],
        summary: 'Change an identity',
        description: 'What is given replaces what was. `identity_uuid`, `agent_id` and `created_at` never change.',
        params: IdentityParams,
        body: IdentityUpdate,
        response: { 200: Identity, ...ERRORS },
      },
    },
    (request) => {
      request.target = request.params.agent_id;
      return identities.update(request.params.agent_id, request.body, principalOf(request));
    },
  );
  app.delete<{ Params: IdentityParams }>(
    '/identities/:agent_id',
    {
      config: { scope: 'agents', audit: 'identity_remove' },
      schema: {
        tags: ['Identities'],
        summary: 'Take an identity away',
        params: IdentityParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      request.target = request.params.agent_id;
      await identities.remove(request.params.agent_id, principalOf(request));
      return reply.code(204).send();
    },
  );
}
