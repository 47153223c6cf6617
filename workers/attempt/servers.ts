import { writeFile } from 'node:fs/promises';
import type { McpServer, McpServers } from '../../contracts/mcp-servers.js';
import type { SpawnCommand } from '../../contracts/spawn.js';
import { serversFor } from '../../src/mcp-servers.js';
import { TaskFault } from './fault.js';

export interface ConfiguredServers {
  /** File for claude's --mcp-config; undefined: the task names none. */
  readonly file: string | undefined;
  /** Values that must not appear in events and logs. */
  readonly secrets: readonly string[];
}

/** Writes what a task's MCP servers are into the file of its place. @throws {TaskFault} naming those that it can't have. */
export async function configureServers(
  { mcp_servers: names = [], owner }: Pick<SpawnCommand, 'mcp_servers' | 'owner'>,
  servers: McpServers,
  file: string,
): Promise<ConfiguredServers> {
  if (names.length === 0) return { file: undefined, secrets: [] };
  const { found, missing } = serversFor(servers, names, owner);
  if (missing.length > 0)
    throw new TaskFault(
      'mcp_server_unknown',
      `KSI_MCP_SERVERS of this worker has none for ${owner} named ${missing.join(', ')}`,
    );
  const mcpServers = Object.fromEntries(
    Object.entries(found).map(([name, { owners: _owners, ...server }]) => [name, server]),
  );
  await writeFile(file, JSON.stringify({ mcpServers }), { mode: 0o600 });
  return { file, secrets: Object.values(found).flatMap(secretsOf) };
}

const secretsOf = (server: McpServer): string[] =>
  Object.values('url' in server ? (server.headers ?? {}) : (server.env ?? {}));
