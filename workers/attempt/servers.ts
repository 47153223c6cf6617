import { writeFile } from 'node:fs/promises';
import type { McpServer, McpServers } from '../../contracts/tasks/mcp-servers.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { namesCredential } from '../claude/environment.js';
import { serversFor } from '../../src/tools/mcp-servers.js';
import { TaskFault } from './fault.js';

export interface ConfiguredServers {
  /** File for claude's --mcp-config; undefined: the task names none. */
  readonly file: string | undefined;
  readonly names: ReadonlySet<string>;
  /** Those without which the task fails. */
  readonly required: ReadonlySet<string>;
  /** As of ClaudeEnvironment. */
  readonly secrets: readonly string[];
  readonly credentials: readonly string[];
}

/** Writes what a task's MCP servers are into the file of its place. @throws {TaskFault} naming those that it can't have. */
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
      `KSI_MCP_SERVERS of this worker has none for ${owner} named ${missing.join(', ')}`,
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
