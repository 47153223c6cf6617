import type { HandToolName } from '../../contracts/agents/tools.js';

export type WhyNot = (tool: string, input: Record<string, unknown>) => string | undefined;

/** What Claude is told of the tools that it may use. */
export interface ClaudeTools {
  /** Those that there are; undefined: all. */
  readonly existing: readonly string[] | undefined;
  readonly allowed: readonly string[] | undefined;
  readonly disallowed: readonly string[];
  /** Those by which its agent does something by itself. */
  readonly hands: readonly HandToolName[];
  /** Why a tool may not be used so, before each use; undefined: it may, if Claude's own rules say so too. */
  readonly whyNot: WhyNot | undefined;
  /** The same of an input that a person has edited. */
  readonly editFault: WhyNot;
}

/** Of a task that asks for no tools where no policy has a word to say. */
export const NO_LIMITS: ClaudeTools = {
  existing: undefined,
  allowed: undefined,
  disallowed: [],
  hands: [],
  whyNot: undefined,
  editFault: () => undefined,
};
