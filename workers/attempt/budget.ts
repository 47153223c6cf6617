import { check } from '../../contracts/wire/check.js';
import { BUDGET_QUESTION, BudgetLeft, HandsAnswer, type HandsRequest } from '../../contracts/agents/tools.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { v7 as uuidv7 } from 'uuid';
import { parseJson } from '../../src/json.js';
import type { WorkerContext } from './context.js';

/** What an attempt may cost. `spent`: nothing, as a budget is spent. */
export type AttemptBudget = { readonly kind: 'left'; readonly usd: number | undefined } | { readonly kind: 'spent' };

/** Budgets are the operator's safeguard, not the task's: an API that is away does not keep it from running within what it was accepted with. */
const PATIENCE_MS = 3_000;

/**
 * Asks an API what the budgets leave for a task as its attempt starts: more may have been spent since it was accepted. Only a task that was
 * accepted under a budget asks. Never rejects.
 */
export async function budgetNow(
  { task_id: taskId, budget_usd: accepted }: SpawnCommand,
  { broker, process, log }: Pick<WorkerContext, 'broker' | 'process' | 'log'>,
): Promise<AttemptBudget> {
  if (accepted === undefined) return { kind: 'left', usd: undefined };
  const request: HandsRequest = { v: FORMAT_VERSION, tool: BUDGET_QUESTION, call_id: uuidv7(), input: {} };
  try {
    const { data } = await broker.nc.request(SUBJECT.hands(process, taskId), JSON.stringify(request), {
      timeout: PATIENCE_MS,
    });
    const answer = check(HandsAnswer, parseJson(data));
    if (answer.ok && !answer.value.ok && answer.value.code === 'budget_exceeded') return { kind: 'spent' };
    const left = answer.ok && answer.value.ok ? check(BudgetLeft, answer.value.result) : undefined;
    if (left?.ok === true) return { kind: 'left', usd: Math.min(accepted, left.value.usd ?? accepted) };
    log.warn({ answer }, 'no API says what is left of the budgets; the attempt has what its task was accepted with');
  } catch (error) {
    log.warn(
      { err: error },
      'no API says what is left of the budgets; the attempt has what its task was accepted with',
    );
  }
  return { kind: 'left', usd: accepted };
}
