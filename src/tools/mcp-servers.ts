import type { Logger } from 'pino';
import { HANDS_SERVER } from '../../contracts/agents/tools.js';
import { McpServers, type McpServer } from '../../contracts/tasks/mcp-servers.js';
import { OperatorFile } from '../config/operator-file.js';

export type McpServersFile = OperatorFile<typeof McpServers>;

/** The MCP servers that the operator keeps. Without a file there are none. @throws {ConfigError} */
export const mcpServersFile = (path: string | undefined, log: Logger): McpServersFile =>
  new OperatorFile({ variable: 'KSI_MCP_SERVERS', path, schema: McpServers, none: {}, faultOf, log });

const faultOf = (servers: McpServers): string | undefined =>
  Object.hasOwn(servers, HANDS_SERVER) ? `${HANDS_SERVER} is the name of KSI's own server` : undefined;

/** Those of an owner's that are named; one that there isn't, or not for them, is only named. */
export function serversFor(
  servers: McpServers,
  names: readonly string[],
  owner: string,
): { found: Record<string, McpServer>; missing: string[] } {
  const mine = (name: string): McpServer | undefined => {
    const server = Object.hasOwn(servers, name) ? servers[name] : undefined;
    return server?.owners === undefined || server.owners.includes(owner) ? server : undefined;
  };
  const found: Record<string, McpServer> = {};
  for (const name of names) {
    const server = mine(name);
    if (server !== undefined) found[name] = server;
  }
  return { found, missing: names.filter((name) => mine(name) === undefined) };
}
