import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, AgentRegistration } from './agents.js';
import { PROMPT_NAME_PATTERN, PromptContext } from '../prompts/compositions.js';
import { MessageRequest } from './messages.js';

const closed = { additionalProperties: false };
const { role, capabilities, subscriptions, options, agent_tools, session_id } = AgentRegistration.properties;
const { conversation_id, message_id } = MessageRequest.properties;

const task = Type.String({ minLength: 1, description: 'What it has to do: its first message, a TASK_ASSIGNMENT.' });
const context = Type.String({ description: 'What it has to know for that.' });

/** POST /agents/spawn: an agent is made of a profile or a composition, and given its first task. */
export const AgentSpawnRequest = Type.Object(
  {
    profile: Type.Optional(
      Type.String({ pattern: PROMPT_NAME_PATTERN, description: 'What is not said here comes from it.' }),
    ),
    composition: Type.Optional(
      Type.String({
        pattern: PROMPT_NAME_PATTERN,
        description: "Of its prompt. Default: the profile's, else the one that fits best (POST /compositions/select).",
      }),
    ),
    variables: Type.Optional(PromptContext),
    task: Type.Optional(task),
    context: Type.Optional(context),
    agent_id: Type.Optional(
      Type.String({
        pattern: AGENT_PATTERN,
        description: 'Default: its profile or role and 8 random digits. One of yours that is registered is made anew.',
      }),
    ),
    role,
    capabilities,
    subscriptions,
    options,
    agent_tools,
    session_id,
    conversation_id,
    message_id,
  },
  closed,
);
export type AgentSpawnRequest = Static<typeof AgentSpawnRequest>;

export const AgentSpawned = Type.Object({
  agent_id: Type.String(),
  status: Type.Literal('spawned'),
  session_id: Type.Optional(Type.String()),
  revision: Type.Integer(),
  composition: Type.String({ description: 'Of its prompt.' }),
  score: Type.Optional(Type.Number({ description: 'Of the composition, if it was chosen.' })),
  fallback: Type.Boolean({ description: 'None fitted: it is the default one.' }),
  message_id: Type.Optional(Type.String({ description: 'Of its task.' })),
  since: Type.Optional(Type.String({ description: 'A cursor from before its task: what that leads to comes after.' })),
});
export type AgentSpawned = Static<typeof AgentSpawned>;

/** POST /agents/route: a task for the agent that fits best. */
export const TaskRouteRequest = Type.Object(
  {
    task,
    required_capabilities: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        maxItems: 64,
        description: 'An agent suits that has any of them; the best has the most. Default: any agent suits.',
      }),
    ),
    context: Type.Optional(context),
    from: MessageRequest.properties.from,
    conversation_id,
    message_id,
  },
  closed,
);
export type TaskRouteRequest = Static<typeof TaskRouteRequest>;

export const TaskRouted = Type.Object({
  status: Type.Literal('routed'),
  assigned_agent: Type.String(),
  agent_role: Type.String(),
  match_score: Type.Integer({ minimum: 0, description: 'How many of the capabilities it has.' }),
  message: Type.String({ description: 'What it was told.' }),
  message_id: Type.String(),
  since: Type.String({ description: 'A cursor from before it.' }),
});
export type TaskRouted = Static<typeof TaskRouted>;
