import type { Logger } from 'pino';
import { AGENT_TOOL_SERVER } from '../../contracts/agents/tools.js';
import { McpServers, type McpServer } from '../../contracts/tasks/mcp-servers.js';
import { WatchedFile } from '../config/watched-file.js';

export type McpServersFile = WatchedFile<typeof McpServers>;

/** The operator's MCP servers. There are none without a file. @throws {ConfigError} */
export const mcpServersFile = (path: string | undefined, log: Logger): McpServersFile =>
  new WatchedFile({ variable: 'KSI_MCP_SERVERS', path, schema: McpServers, none: {}, faultOf, log });

const faultOf = (servers: McpServers): string | undefined =>
  Object.hasOwn(servers, AGENT_TOOL_SERVER)
    ? `the name ${AGENT_TOOL_SERVER} is reserved for KSI's own server`
    : undefined;

/** The servers with the given names. `missing` names those that do not exist or that the owner may not use. */
export function serversFor(
  servers: McpServers,
  names: readonly string[],
  owner: string,
): { found: Record<string, McpServer>; missing: string[] } {
  const found: Record<string, McpServer> = {};
  const missing: string[] = [];
  for (const name of names) {
    const server = Object.hasOwn(servers, name) ? servers[name] : undefined;
    if (server !== undefined && (server.owners === undefined || server.owners.includes(owner))) found[name] = server;
    else missing.push(name);
  }
  return { found, missing };
}
