import type { McpSdkServerConfigWithInstance } from '@anthropic-ai/claude-agent-sdk';
import {
  AGENT_TOOLS,
  AGENT_TOOL_SERVER,
  MAX_WAIT_S,
  isAgentTool,
  type AgentToolAnswer,
  type AgentToolName,
} from '../../contracts/agents/tools.js';
import type { AgentTools } from './agent-tools.js';

/** Exceeds the longest wait of a tool. */
const TOOL_TIMEOUT_MS = (MAX_WAIT_S + 60) * 1_000;

/**
 * The MCP server for the agent tools, within this process. Claude reaches it over its own pipe, so there is no address or token that
 * others could use. @param tools the tools that this agent has.
 */
export async function agentToolServer(
  agentTools: Pick<AgentTools, 'do'>,
  tools: readonly AgentToolName[],
): Promise<McpSdkServerConfigWithInstance> {
  // Loaded on demand: few tasks need them, and loading takes 0.2 s.
  const [{ McpServer }, { CallToolRequestSchema, ListToolsRequestSchema }] = await Promise.all([
    import('@modelcontextprotocol/sdk/server/mcp.js'),
    import('@modelcontextprotocol/sdk/types.js'),
  ]);
  const instance = new McpServer({ name: AGENT_TOOL_SERVER, version: '1.0.0' }, { capabilities: { tools: {} } });
  instance.server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(described) }));
  instance.server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: input = {} } }) =>
    isAgentTool(name) && tools.includes(name)
      ? toToolResult(await agentTools.do(name, input))
      : toToolResult({ ok: false, code: 'not_found', message: `There is no tool ${name}.` }),
  );
  return { type: 'sdk', name: AGENT_TOOL_SERVER, instance, timeout: TOOL_TIMEOUT_MS };
}

const described = (name: AgentToolName) => {
  const { description, input } = AGENT_TOOLS[name];
  return {
    name,
    description,
    // TypeBox schemas are JSON schemas.
    inputSchema: JSON.parse(JSON.stringify(input)) as { type: 'object' },
    // There are few tools, and the agent needs them.
    _meta: { 'anthropic/alwaysLoad': true },
  };
};

const toToolResult = (answer: AgentToolAnswer) => ({
  content: [
    { type: 'text' as const, text: answer.ok ? JSON.stringify(answer.result) : `${answer.code}: ${answer.message}` },
  ],
  isError: !answer.ok,
});
