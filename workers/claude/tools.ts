import type { AgentToolName } from '../../contracts/agents/tools.js';

export type ToolFault = (tool: string, input: Record<string, unknown>) => string | undefined;

/** The tools that Claude may use. */
export interface ClaudeTools {
  /** The tools that exist for Claude. Undefined: all. */
  readonly existing: readonly string[] | undefined;
  readonly allowed: readonly string[] | undefined;
  readonly disallowed: readonly string[];
  /** The agent tools. */
  readonly agentTools: readonly AgentToolName[];
  /** Why a tool use is denied. Checked before each use. Undefined: it is allowed, if Claude's own rules allow it too. */
  readonly whyNot: ToolFault | undefined;
  /** The same check for an input that a person has edited. */
  readonly editFault: ToolFault;
}

/** For a task that requests no tools, under no policy. */
export const NO_LIMITS: ClaudeTools = {
  existing: undefined,
  allowed: undefined,
  disallowed: [],
  agentTools: [],
  whyNot: undefined,
  editFault: () => undefined,
};
