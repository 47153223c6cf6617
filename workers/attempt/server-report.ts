import type { McpServerStatus } from '@anthropic-ai/claude-agent-sdk';
import type { McpServerState } from '../../contracts/tasks/mcp-servers.js';
import type { ClaudeMessage } from '../claude/ending.js';
import { serverStates } from '../claude/server-states.js';
import { TaskFault } from './fault.js';
import type { ConfiguredServers } from './servers.js';

export interface ServerReportOptions {
  readonly servers: Pick<ConfiguredServers, 'names' | 'required'>;
  readonly redact: (text: string) => string;
  /** Receives the states of the task's servers in each turn. */
  readonly onStates: (states: readonly McpServerState[]) => void;
  /** Called when a required server is not connected. */
  readonly onFault: () => void;
}

/** Reports the states of a task's MCP servers, and faults the attempt when a required server is not connected. */
export class ServerReport {
  readonly #options: ServerReportOptions;
  #reading: Promise<void> = Promise.resolve();
  #fault: TaskFault | undefined;

  constructor(options: ServerReportOptions) {
    this.#options = options;
  }

  /** Call it at the start of each turn. @param init the turn's first message. @param ask requests the servers' errors from Claude. */
  onTurn(init: ClaudeMessage, ask: () => Promise<McpServerStatus[]>): void {
    if (this.#options.servers.names.size > 0) this.#reading = this.#read(init, ask);
  }

  /** Resolves when the states of the last turn are reported. @throws {TaskFault} mcp_server_failed. */
  async settled(): Promise<void> {
    await this.#reading;
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Never rejects. */
  async #read(init: ClaudeMessage, ask: () => Promise<McpServerStatus[]>): Promise<void> {
    const { servers, redact, onStates, onFault } = this.#options;
    const states = await serverStates(init, servers.names, ask);
    onStates(states.map((state) => ({ ...state, ...(state.error && { error: redact(state.error) }) })));
    const absent = states.filter(({ name, status }) => servers.required.has(name) && status !== 'connected');
    if (absent.length === 0) return;
    const reasons = absent.map(({ name, status, error = status }) => `${name} (${redact(error)})`);
    this.#fault = new TaskFault('mcp_server_failed', reasons.join(', '));
    onFault();
  }
}
