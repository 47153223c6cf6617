import type { FastifyInstance } from 'fastify';
import {
  AgentChange,
  AgentPage,
  AgentParams,
  AgentRegistered,
  AgentRegistration,
  AgentShown,
  AgentsQuery,
} from '../../../../contracts/agents/agents.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function agentRoutes(app: FastifyInstance, { agents }: ApiContext): void {
  app.post<{ Body: AgentRegistration }>(
    '/agents/register',
    {
      config: { scope: 'agents', audit: 'agent_register' },
      schema: {
        tags: ['Agents'],
        summary: 'Register an agent',
        description:
          'One that you have registered already is brought up to date, and is active again if it had ended. 409 when its id is another owner’s.',
        body: AgentRegistration,
        response: { 201: AgentRegistered, ...ERRORS },
      },
    },
    async (request, reply) => {
      const registered = await agents.register(request.body, principalOf(request));
      request.target = registered.agent_id;
      return reply.code(201).header('location', `/agents/${registered.agent_id}`).send(registered);
    },
  );
  app.get<{ Querystring: AgentsQuery }>(
    '/agents',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Agents'],
        summary: 'Agents, by their ids',
        querystring: AgentsQuery,
        response: { 200: AgentPage, ...ERRORS },
      },
    },
    (request) => agents.page(request.query, principalOf(request)),
  );
  app.get<{ Params: AgentParams }>(
    '/agents/:id',
    {
      config: { scope: 'read' },
      schema: {
        tags: ['Agents'],
        summary: 'One agent',
        params: AgentParams,
        response: { 200: AgentShown, ...ERRORS },
      },
    },
    (request) => agents.one(request.params.id, principalOf(request)),
  );
  app.patch<{ Params: AgentParams; Body: AgentChange }>(
    '/agents/:id',
    {
      config: { scope: 'agents', audit: 'agent_update' },
      schema: {
        tags: ['Agents'],
        summary: 'Change an agent',
        description: 'What is not given stays. With `revision`, 409 when somebody else has changed it since.',
        params: AgentParams,
        body: AgentChange,
        response: { 200: AgentShown, ...ERRORS },
      },
    },
    (request) => agents.update(request.params.id, request.body, principalOf(request)),
  );
  app.delete<{ Params: AgentParams }>(
    '/agents/:id',
    {
      config: { scope: 'agents', audit: 'agent_remove' },
      schema: {
        tags: ['Agents'],
        summary: 'Remove an agent, with its inbox and its events',
        description: "A managed agent's tasks and session stay: they are deleted as others are.",
        params: AgentParams,
        response: ERRORS,
      },
    },
    async (request, reply) => {
      await agents.remove(request.params.id, principalOf(request));
      return reply.code(204).send();
    },
  );
}
