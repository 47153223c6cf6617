import type { Handlers } from './handler.js';

export const agentHandlers = {
  agents: (query, { principal, context }) => context.agents.page(query, principal),
  agent: ({ id }, { principal, context }) => context.agents.one(id, principal),
  agent_register: (request, { principal, context }) => context.agents.register(request, principal),
  agent_spawn: (request, { principal, context }) => context.spawner.spawn(request, principal),
  task_route: (request, { principal, context }) => context.spawner.route(request, principal),
  agent_update: ({ id, ...change }, { principal, context }) => context.agents.update(id, change, principal),
  agent_remove: ({ id }, { principal, context }) => context.agents.remove(id, principal),
  agent_send: ({ id, ...message }, { principal, context }) => context.agents.send({ ...message, to: id }, principal),
  send: (message, { principal, context }) => context.agents.send(message, principal),
  exchange: ({ id }, { principal, context }) => context.exchanges.one(id, principal),
  inbox: ({ id, ...query }, { principal, context }) => context.agents.inbox(id, query, principal),
  inbox_ack: ({ id, ...ack }, { principal, context }) => context.agents.ack(id, ack, principal),
} satisfies Partial<Handlers>;
