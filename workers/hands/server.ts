import type { McpSdkServerConfigWithInstance } from '@anthropic-ai/claude-agent-sdk';
import {
  HAND_TOOLS,
  HANDS_SERVER,
  MOST_WAIT_S,
  isHandTool,
  type HandsAnswer,
  type HandToolName,
} from '../../contracts/agents/tools.js';
import type { Hands } from './hands.js';

/** Exceeds the longest wait of a tool. */
const TOOL_TIMEOUT_MS = (MOST_WAIT_S + 60) * 1_000;

/**
 * The MCP server for the agent tools, within this process. Claude reaches it over its own pipe, so there is no address or token that
 * others could use. @param tools the tools that this agent has.
 */
export async function handsServer(
  hands: Pick<Hands, 'do'>,
  tools: readonly HandToolName[],
): Promise<McpSdkServerConfigWithInstance> {
  // Loaded on demand: few tasks need them, and loading takes 0.2 s.
  const [{ McpServer }, { CallToolRequestSchema, ListToolsRequestSchema }] = await Promise.all([
    import('@modelcontextprotocol/sdk/server/mcp.js'),
    import('@modelcontextprotocol/sdk/types.js'),
  ]);
  const instance = new McpServer({ name: HANDS_SERVER, version: '1.0.0' }, { capabilities: { tools: {} } });
  instance.server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(described) }));
  instance.server.setRequestHandler(CallToolRequestSchema, async ({ params: { name, arguments: input = {} } }) =>
    isHandTool(name) && tools.includes(name)
      ? said(await hands.do(name, input))
      : said({ ok: false, code: 'not_found', message: `There is no tool ${name}.` }),
  );
  return { type: 'sdk', name: HANDS_SERVER, instance, timeout: TOOL_TIMEOUT_MS };
}

const described = (name: HandToolName) => {
  const { description, input } = HAND_TOOLS[name];
  return {
    name,
    description,
    // TypeBox schemas are JSON schemas.
    inputSchema: JSON.parse(JSON.stringify(input)) as { type: 'object' },
    // There are few tools, and the agent needs them.
    _meta: { 'anthropic/alwaysLoad': true },
  };
};

const said = (answer: HandsAnswer) => ({
  content: [
    { type: 'text' as const, text: answer.ok ? JSON.stringify(answer.result) : `${answer.code}: ${answer.message}` },
  ],
  isError: !answer.ok,
});
