import type { McpServerStatus } from '@anthropic-ai/claude-agent-sdk';
import type { McpServerState } from '../../contracts/tasks/mcp-servers.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from './ending.js';

/** How long the reasons of servers that failed are waited for. */
const REASONS_MS = 1_000;

const STATES: Readonly<Record<string, McpServerState['status']>> = {
  connected: 'connected',
  'needs-auth': 'needs_auth',
  disabled: 'disabled',
  // The turn begins when each has connected or its time is up.
  pending: 'no_answer',
};

/**
 * What has become of a task's MCP servers, as the first message of a turn tells; why a server failed Claude tells only if asked. Never rejects.
 * @param names of the task's servers: there may be KSI's own beside them.
 */
export async function serverStates(
  { mcp_servers: told }: ClaudeMessage,
  names: ReadonlySet<string>,
  ask: () => Promise<McpServerStatus[]>,
): Promise<McpServerState[]> {
  const states = (Array.isArray(told) ? told : []).flatMap((each: unknown): McpServerState[] => {
    const { name, status } = isRecord(each) ? each : {};
    return typeof name === 'string' && names.has(name) ? [{ name, status: STATES[String(status)] ?? 'failed' }] : [];
  });
  if (states.every(({ status }) => status === 'connected')) return states;
  const reasons = await reasonsOf(ask);
  return states.map((state) => {
    const error = state.status === 'connected' ? undefined : reasons.get(state.name);
    return error === undefined ? state : { ...state, error };
  });
}

async function reasonsOf(ask: () => Promise<McpServerStatus[]>): Promise<ReadonlyMap<string, string>> {
  let late: NodeJS.Timeout | undefined;
  const nothing = new Promise<McpServerStatus[]>((resolve) => {
    late = setTimeout(() => resolve([]), REASONS_MS);
  });
  try {
    const all = await Promise.race([ask(), nothing]);
    return new Map(all.flatMap(({ name, error }) => (error === undefined ? [] : [[name, error]])));
  } catch {
    // Claude has ended meanwhile.
    return new Map();
  } finally {
    clearTimeout(late);
  }
}
