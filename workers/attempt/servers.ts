import { writeFile } from 'node:fs/promises';
import type { McpServer, McpServers } from '../../contracts/tasks/mcp-servers.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { namesCredential } from '../claude/environment.js';
import { serversFor } from '../../src/tools/mcp-servers.js';
import { TaskFault } from './fault.js';

export interface ConfiguredServers {
  /** The file for claude's --mcp-config. Undefined: the task names no servers. */
  readonly file: string | undefined;
  readonly names: ReadonlySet<string>;
  /** The servers without which the task fails. */
  readonly required: ReadonlySet<string>;
  /** As of ClaudeEnvironment. */
  readonly secrets: readonly string[];
  readonly credentials: readonly string[];
}

/** Writes the configuration of a task's MCP servers to `file`. @throws {TaskFault} mcp_server_unknown, with the missing names. */
export async function configureServers(
  { mcp_servers: names = [], owner }: Pick<SpawnCommand, 'mcp_servers' | 'owner'>,
  servers: McpServers,
  file: string,
): Promise<ConfiguredServers> {
  if (names.length === 0)
    return { file: undefined, names: new Set(), required: new Set(), secrets: [], credentials: [] };
  const { found, missing } = serversFor(servers, names, owner);
  if (missing.length > 0)
    throw new TaskFault(
      'mcp_server_unknown',
      `KSI_MCP_SERVERS of this worker has no server for ${owner} named ${missing.join(', ')}`,
    );
  const mcpServers = Object.fromEntries(
    Object.entries(found).map(([name, { owners: _owners, required: _required, ...server }]) => [name, server]),
  );
  await writeFile(file, JSON.stringify({ mcpServers }), { mode: 0o600 });
  const secrets = Object.values(found).flatMap(secretsOf);
  return {
    file,
    names: new Set(names),
    required: new Set(names.filter((name) => found[name]?.required === true)),
    secrets: secrets.map(([, value]) => value),
    credentials: secrets.filter(([name]) => namesCredential(name)).map(([, value]) => value),
  };
}

const secretsOf = (server: McpServer): [name: string, value: string][] =>
  Object.entries('url' in server ? (server.headers ?? {}) : (server.env ?? {}));
