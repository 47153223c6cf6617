import { check } from '../../contracts/wire/check.js';
import { BUDGET_REQUEST, BudgetLeft, AgentToolAnswer, type AgentToolRequest } from '../../contracts/agents/tools.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { uuidv7 } from '../../src/uuid.js';
import { parseJson } from '../../src/json.js';
import type { WorkerContext } from './context.js';

/** What an attempt may cost, in USD. `spent`: a budget is exhausted. */
export type AttemptBudget = { readonly kind: 'left'; readonly usd: number | undefined } | { readonly kind: 'spent' };

/** How long an API has to answer. Without an answer the attempt runs with the budget with which its task was accepted. */
const TIMEOUT_MS = 3_000;

const FALLBACK = 'no API reports the remaining budget; the attempt uses the budget with which its task was accepted';

/**
 * Requests the remaining budget from an API when an attempt starts: other tasks may have spent some since this one was accepted. Tasks
 * without a budget make no request. Never rejects.
 */
export async function budgetNow(
  { task_id: taskId, budget_usd: accepted }: SpawnCommand,
  { broker, process, log }: Pick<WorkerContext, 'broker' | 'process' | 'log'>,
): Promise<AttemptBudget> {
  if (accepted === undefined) return { kind: 'left', usd: undefined };
  const request: AgentToolRequest = { v: FORMAT_VERSION, tool: BUDGET_REQUEST, call_id: uuidv7(), input: {} };
  try {
    const { data } = await broker.nc.request(SUBJECT.agentTools(process, taskId), JSON.stringify(request), {
      timeout: TIMEOUT_MS,
    });
    const answer = check(AgentToolAnswer, parseJson(data));
    if (answer.ok && !answer.value.ok && answer.value.code === 'budget_exceeded') return { kind: 'spent' };
    const left = answer.ok && answer.value.ok ? check(BudgetLeft, answer.value.result) : undefined;
    if (left?.ok === true) return { kind: 'left', usd: Math.min(accepted, left.value.usd ?? accepted) };
    log.warn({ answer }, FALLBACK);
  } catch (error) {
    log.warn({ err: error }, FALLBACK);
  }
  return { kind: 'left', usd: accepted };
}
