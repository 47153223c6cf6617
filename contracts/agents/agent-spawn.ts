import { Type, type Static } from 'typebox';
import { AGENT_PATTERN, AgentRegistration } from './agents.js';
import { PROMPT_NAME_PATTERN, PromptContext } from '../prompts/compositions.js';
import { MessageRequest } from './messages.js';

const closed = { additionalProperties: false };
const { role, capabilities, subscriptions, options, agent_tools, session_id } = AgentRegistration.properties;
const { conversation_id, message_id } = MessageRequest.properties;

const task = Type.String({ minLength: 1, description: 'The task. The agent gets it as a TASK_ASSIGNMENT message.' });
const context = Type.String({ description: 'Background information for the task.' });

/** POST /agents/spawn: creates an agent from a profile or a composition and gives it its first task. */
export const AgentSpawnRequest = Type.Object(
  {
    profile: Type.Optional(
      Type.String({
        pattern: PROMPT_NAME_PATTERN,
        description: 'The profile that supplies the fields which this request does not set.',
      }),
    ),
    composition: Type.Optional(
      Type.String({
        pattern: PROMPT_NAME_PATTERN,
        description:
          "The composition of its prompt. Default: the profile's composition, or else the best match (POST /compositions/select).",
      }),
    ),
    variables: Type.Optional(PromptContext),
    task: Type.Optional(task),
    context: Type.Optional(context),
    agent_id: Type.Optional(
      Type.String({
        pattern: AGENT_PATTERN,
        description:
          'Default: the profile or role and 8 random digits. If you have registered an agent with this id, it is replaced.',
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
  composition: Type.String({ description: 'The composition of its prompt.' }),
  score: Type.Optional(Type.Number({ description: 'The score of the composition, if KSI chose it.' })),
  fallback: Type.Boolean({ description: 'True if no composition matched and KSI used the default one.' }),
  message_id: Type.Optional(Type.String({ description: 'The message with its task.' })),
  since: Type.Optional(
    Type.String({ description: 'A cursor just before the task. All events of the task come after it.' }),
  ),
});
export type AgentSpawned = Static<typeof AgentSpawned>;

/** POST /agents/route: gives a task to the agent that matches best. */
export const TaskRouteRequest = Type.Object(
  {
    task,
    required_capabilities: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
        maxItems: 64,
        description:
          'An agent matches if it has any of these. The agent with the most of them gets the task. Default: every agent matches.',
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
  match_score: Type.Integer({ minimum: 0, description: 'How many of the required capabilities the agent has.' }),
  message: Type.String({ description: 'The text of the message that the agent got.' }),
  message_id: Type.String(),
  since: Type.String({ description: 'A cursor just before the message.' }),
});
export type TaskRouted = Static<typeof TaskRouted>;
