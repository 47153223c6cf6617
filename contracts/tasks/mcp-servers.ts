import { Type, type Static } from 'typebox';
import { SERVER_NAME_PATTERN } from './claude-options.js';
import { OWNER_PATTERN } from '../wire/names.js';

/** What became of one of a task's servers when its attempt began. */
export const McpServerState = Type.Object({
  name: Type.String(),
  status: Type.Enum(['connected', 'failed', 'no_answer', 'needs_auth', 'disabled'], {
    description: '`no_answer`: it did not answer within KSI_MCP_TIMEOUT_S.',
  }),
  error: Type.Optional(Type.String({ description: 'Why, in Claude’s words.' })),
});
export type McpServerState = Static<typeof McpServerState>;

const required = Type.Optional(
  Type.Boolean({
    default: false,
    description: 'Whether a task that names it fails when it does not connect (`mcp_server_failed`).',
  }),
);
const strings = Type.Record(Type.String(), Type.String());
const owners = Type.Optional(
  Type.Array(Type.String({ pattern: OWNER_PATTERN }), { description: 'Whose tasks may use it. Absent: everybody’s.' }),
);

/** As in claude's own configuration; `${NAME}` stands for a variable that Claude sees. */
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

/** The operator's file, KSI_MCP_SERVERS: the servers that tasks may name in `mcp_servers`. */
export const McpServers = Type.Record(Type.String({ pattern: SERVER_NAME_PATTERN }), McpServer, {
  additionalProperties: false,
});
export type McpServers = Static<typeof McpServers>;
