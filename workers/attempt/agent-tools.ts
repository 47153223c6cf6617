import type { McpSdkServerConfigWithInstance } from '@anthropic-ai/claude-agent-sdk';
import type { AgentToolName } from '../../contracts/agents/tools.js';
import { AgentTools } from '../agent-tools/agent-tools.js';
import { agentToolServer } from '../agent-tools/server.js';
import type { AttemptOptions } from './options.js';

/** The MCP server with an attempt's agent tools. Undefined: it has none. @param signal ends the tool calls. */
export async function agentTools(
  { context, command, slot, events, place }: AttemptOptions,
  names: readonly AgentToolName[],
  signal: AbortSignal,
): Promise<McpSdkServerConfigWithInstance | undefined> {
  if (names.length === 0) return undefined;
  const { broker, process, log } = context;
  const agent_tools = new AgentTools({
    broker,
    process,
    taskId: command.task_id,
    signal,
    log,
    onWait: () => context.lend(slot),
    lendTo: place && ((awaited) => place.lendTo(awaited, signal)),
    lacking: (json) => events.large.added(json),
  });
  return agentToolServer(agent_tools, names);
}
