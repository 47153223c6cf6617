import { Type, type Static, type TSchema } from 'typebox';

/**
 * The protocol of the old daemon ("JSON Protocol v2.0", docs/migration.md), which `ksi bridge` speaks: one JSON object a line over a Unix
 * socket. What its clients may send, as data. A field that is `null` counts as absent, and parameters that a command
 * doesn't know are passed over: scripts of its users send both.
 */
export const LEGACY_VERSION = '2.0';

/** Where its clients look for the socket, below the daemon's working folder. */
export const LEGACY_SOCKET = 'sockets/claude_daemon.sock';

export const LEGACY_COMMAND_TYPES = [
  'process_control',
  'agent_management',
  'message_bus',
  'state_management',
  'identity_management',
  'system_status',
  'system_control',
] as const;
type CommandType = (typeof LEGACY_COMMAND_TYPES)[number];

const Text = Type.String();
const Id = Type.String({ minLength: 1 });
const Texts = Type.Array(Type.String());
const Mapping = Type.Record(Type.String(), Type.Unknown());
const optional = {
  text: Type.Optional(Text),
  texts: Type.Optional(Texts),
};

const command = <S extends TSchema>(type: CommandType, parameters: S) => ({ type, parameters });
const none = Type.Object({});

/** All that there are, with what each takes. */
export const LEGACY_COMMANDS = {
  SPAWN: command(
    'process_control',
    Type.Object({
      mode: Text,
      type: Type.Literal('claude'),
      prompt: Text,
      session_id: optional.text,
      model: optional.text,
      agent_id: optional.text,
      enable_tools: Type.Optional(Type.Boolean()),
    }),
  ),
  CLEANUP: command('system_control', Type.Object({ cleanup_type: Text })),
  RELOAD: command('system_control', Type.Object({ module_name: Text })),
  REGISTER_AGENT: command('agent_management', Type.Object({ agent_id: Id, role: Id, capabilities: optional.texts })),
  GET_AGENTS: command('agent_management', none),
  SPAWN_AGENT: command(
    'agent_management',
    Type.Object({
      profile_name: Id,
      task: Text,
      context: optional.text,
      agent_id: optional.text,
      role: optional.text,
      capabilities: optional.texts,
    }),
  ),
  ROUTE_TASK: command(
    'agent_management',
    Type.Object({ task: Text, required_capabilities: optional.texts, context: optional.text }),
  ),
  SUBSCRIBE: command('message_bus', Type.Object({ agent_id: Id, event_types: Type.Array(Id, { minItems: 1 }) })),
  PUBLISH: command('message_bus', Type.Object({ from_agent: Id, event_type: Id, payload: Mapping })),
  AGENT_CONNECTION: command('message_bus', Type.Object({ action: Text, agent_id: Id })),
  MESSAGE_BUS_STATS: command('message_bus', none),
  SET_SHARED: command('state_management', Type.Object({ key: Id, value: Type.Unknown() })),
  GET_SHARED: command('state_management', Type.Object({ key: Id })),
  LOAD_STATE: command('state_management', Type.Object({ state_data: Mapping })),
  HEALTH_CHECK: command('system_status', none),
  GET_COMMANDS: command('system_status', none),
  GET_PROCESSES: command('system_status', none),
  GET_COMPOSITIONS: command(
    'system_status',
    Type.Object({ include_metadata: Type.Optional(Type.Boolean()), category: optional.text }),
  ),
  GET_COMPOSITION: command('system_status', Type.Object({ name: Id })),
  VALIDATE_COMPOSITION: command('system_status', Type.Object({ name: Id, context: Mapping })),
  LIST_COMPONENTS: command('system_status', Type.Object({ directory: optional.text })),
  COMPOSE_PROMPT: command('system_status', Type.Object({ composition: Id, context: Mapping })),
  CREATE_IDENTITY: command(
    'identity_management',
    Type.Object({
      agent_id: Id,
      display_name: optional.text,
      role: optional.text,
      personality_traits: Type.Optional(Type.Union([Texts, Mapping])),
    }),
  ),
  UPDATE_IDENTITY: command('identity_management', Type.Object({ agent_id: Id, updates: Mapping })),
  GET_IDENTITY: command('identity_management', Type.Object({ agent_id: Id })),
  LIST_IDENTITIES: command('identity_management', none),
  REMOVE_IDENTITY: command('identity_management', Type.Object({ agent_id: Id })),
  RELOAD_DAEMON: command('system_control', none),
  SHUTDOWN: command('system_control', none),
} as const;

export type LegacyCommand = keyof typeof LEGACY_COMMANDS;
export type LegacyParameters<C extends LegacyCommand> = Static<(typeof LEGACY_COMMANDS)[C]['parameters']>;
export const LEGACY_COMMAND_NAMES = Object.keys(LEGACY_COMMANDS) as LegacyCommand[];

export const isLegacyCommand = (name: string): name is LegacyCommand => Object.hasOwn(LEGACY_COMMANDS, name);

/** A request, but for its parameters. */
export const LegacyEnvelope = Type.Object(
  {
    command: Type.String({ minLength: 1 }),
    version: Type.Literal(LEGACY_VERSION),
    parameters: Type.Optional(Mapping),
    metadata: Type.Optional(Mapping),
  },
  { additionalProperties: false },
);
export type LegacyEnvelope = Static<typeof LegacyEnvelope>;

/** Error codes that its clients know, beside `<COMMAND>_FAILED`. */
export const LEGACY_ERRORS = {
  INVALID_JSON: 'The line is not a JSON object.',
  INVALID_COMMAND: 'No such command, or a field is missing or of another type; the message names it.',
  COMMAND_PROCESSING_FAILED: 'The bridge could not go on with it.',
  INVALID_MODE: 'SPAWN: `mode` is neither `sync` nor `async`.',
  SPAWN_FAILED: 'SPAWN, async: KSI did not take the task.',
  SPAWN_AGENT_FAILED: 'SPAWN_AGENT: the agent was not made, or its task not taken.',
  SUBSCRIBE_FAILED: 'SUBSCRIBE: that agent is not connected.',
  INVALID_ACTION: 'AGENT_CONNECTION: `action` is neither `connect` nor `disconnect`.',
  IDENTITY_NOT_FOUND: 'That agent has no identity.',
  COMPOSITION_NOT_FOUND: 'There is no such composition.',
  CONTEXT_VALIDATION_ERROR: 'COMPOSE_PROMPT: the context lacks what the composition requires.',
  LOAD_STATE_FAILED: 'LOAD_STATE: some of it could not be stored.',
} as const;
export type LegacyErrorCode = keyof typeof LEGACY_ERRORS | `${LegacyCommand}_FAILED`;

/** Message types that PUBLISH treats apart; any other goes to all who subscribed to it. */
export const LEGACY_ADDRESSED = ['DIRECT_MESSAGE', 'TASK_ASSIGNMENT'] as const;

/** Who speaks in the daemon's own messages. No agent can have this id in the old protocol. */
export const LEGACY_DAEMON = 'daemon';
/** The daemon's own messages. */
export const LEGACY_DAEMON_TYPES: readonly string[] = ['PROCESS_COMPLETE', 'AGENT_TERMINATED'];
