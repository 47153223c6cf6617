import type { McpServerStatus } from '@anthropic-ai/claude-agent-sdk';
import type { McpServerState } from '../../contracts/tasks/mcp-servers.js';
import { isRecord } from '../../src/json.js';
import type { ClaudeMessage } from './ending.js';

/** How long to wait for the errors of failed servers. */
const REASONS_MS = 1_000;

const STATES: Readonly<Record<string, McpServerState['status']>> = {
  connected: 'connected',
  'needs-auth': 'needs_auth',
  disabled: 'disabled',
  // A turn begins when each server has connected or timed out.
  pending: 'no_answer',
};

/**
 * The states of a task's MCP servers, from a turn's first message. The errors of failed servers need a request to Claude. Never rejects.
 * @param names the task's servers. Claude also reports the server with the agent tools.
 */
export async function serverStates(
  { mcp_servers: servers }: ClaudeMessage,
  names: ReadonlySet<string>,
  ask: () => Promise<McpServerStatus[]>,
): Promise<McpServerState[]> {
  const states = (Array.isArray(servers) ? servers : []).flatMap((each: unknown): McpServerState[] => {
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
    // Claude has ended.
    return new Map();
  } finally {
    clearTimeout(late);
  }
}
