/** What is looked at of an agent that may get a task. */
export interface Candidate {
  readonly agent_id: string;
  readonly role: string;
  readonly capabilities: readonly string[];
  readonly status: string;
}

export interface Suiting<C extends Candidate = Candidate> {
  readonly agent: C;
  /** How many of the required capabilities it has. */
  readonly score: number;
}

/** Agents that have any of the required capabilities, those with the most first; equal ones stay in their order. */
export function suiting<C extends Candidate>(agents: readonly C[], required: readonly string[]): Suiting<C>[] {
  const wanted = [...new Set(required)];
  return agents
    .map((agent) => ({ agent, score: wanted.filter((capability) => agent.capabilities.includes(capability)).length }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score);
}

/** The best that takes tasks now. */
export const bestOf = <C extends Candidate>(suitable: readonly Suiting<C>[]): Suiting<C> | undefined =>
  suitable.find(({ agent }) => agent.status === 'active');
