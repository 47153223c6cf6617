import { Type, type Static } from 'typebox';
import { SERVER_NAME_PATTERN } from './claude-options.js';
import { OWNER_PATTERN } from '../wire/names.js';

/** The state of one of a task's MCP servers when the attempt started. */
export const McpServerState = Type.Object({
  name: Type.String(),
  status: Type.Enum(['connected', 'failed', 'no_answer', 'needs_auth', 'disabled'], {
    description: '`no_answer`: the server did not answer within KSI_MCP_TIMEOUT_S.',
  }),
  error: Type.Optional(Type.String({ description: 'The error that Claude reported.' })),
});
export type McpServerState = Static<typeof McpServerState>;

const required = Type.Optional(
  Type.Boolean({
    default: false,
    description: 'Fail a task that names the server if the server does not connect (`mcp_server_failed`).',
  }),
);
const strings = Type.Record(Type.String(), Type.String());
const owners = Type.Optional(
  Type.Array(Type.String({ pattern: OWNER_PATTERN }), {
    description: 'The owners whose tasks may use it. Default: all owners.',
  }),
);

/** The format of claude's own configuration. `${NAME}` is replaced by a variable of Claude's environment. */
const McpServer = Type.Union([
  Type.Object(
    {
      type: Type.Optional(Type.Literal('stdio')),
      command: Type.String({ minLength: 1 }),
      args: Type.Optional(Type.Array(Type.String())),
      env: Type.Optional(strings),
      owners,
      required,
    },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      type: Type.Enum(['http', 'sse']),
      url: Type.String({ minLength: 1 }),
      headers: Type.Optional(strings),
      owners,
      required,
    },
    { additionalProperties: false },
  ),
]);
export type McpServer = Static<typeof McpServer>;

/** The operator's file KSI_MCP_SERVERS: the servers that tasks may name in `mcp_servers`. */
export const McpServers = Type.Record(Type.String({ pattern: SERVER_NAME_PATTERN }), McpServer, {
  additionalProperties: false,
});
export type McpServers = Static<typeof McpServers>;
