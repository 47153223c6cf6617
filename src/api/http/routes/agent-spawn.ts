import type { FastifyInstance } from 'fastify';
import {
  AgentSpawned,
  AgentSpawnRequest,
  TaskRouted,
  TaskRouteRequest,
} from '../../../../contracts/agents/agent-spawn.js';
import { Problem } from '../../../../contracts/wire/problem.js';
import type { ApiContext } from '../../context.js';
import { principalOf } from '../request-principal.js';

const ERRORS = { '4xx': Problem, '5xx': Problem };

export function agentSpawnRoutes(app: FastifyInstance, { spawner }: ApiContext): void {
  app.post<{ Body: AgentSpawnRequest }>(
    '/agents/spawn',
    {
      config: { scope: 'agents', audit: 'agent_spawn' },
      schema: {
        tags: ['Agents'],
        summary: 'Make an agent of a profile or a composition, and give it its first task',
        description:
          'It is registered with the prompt that its composition makes; then its task is sent to it, and becomes a task of its session.',
        body: AgentSpawnRequest,
        response: { 202: AgentSpawned, ...ERRORS },
      },
    },
    async (request, reply) => {
      const spawned = await spawner.spawn(request.body, principalOf(request));
      request.target = spawned.agent_id;
      return reply.code(202).header('location', `/agents/${spawned.agent_id}`).send(spawned);
    },
  );
  app.post<{ Body: TaskRouteRequest }>(
    '/agents/route',
    {
      config: { scope: 'agents', audit: 'task_route' },
      schema: {
        tags: ['Agents'],
        summary: 'Give a task to the agent whose capabilities fit best',
        description: '409 `no_suitable_agent` or `no_available_agent` when there is none, or none takes a task now.',
        body: TaskRouteRequest,
        response: { 202: TaskRouted, ...ERRORS },
      },
    },
    async (request, reply) => {
      const routed = await spawner.route(request.body, principalOf(request));
      request.target = routed.assigned_agent;
      return reply.code(202).send(routed);
    },
  );
}
