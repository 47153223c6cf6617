import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import {
  BUDGET_REQUEST,
  AGENT_TOOLS,
  AgentToolRequest,
  isAgentTool,
  type AgentToolAnswer,
  type AgentToolName,
} from '../../../contracts/agents/tools.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { parseJson } from '../../json.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import type { Audit } from '../../access/audit.js';
import type { Budget } from '../../access/budgets.js';
import { exchangeOf } from '../../access/exchanges.js';
import { problemOf, toApiError } from '../../errors/problem.js';
import type { Caller, Callers } from '../../agents/tools/caller.js';
import type { AgentToolCalls, ToolCallResult } from '../../agents/tools/calls.js';
import { defined } from '../../defined.js';

export interface AgentToolHandlerOptions {
  readonly broker: Broker;
  readonly callers: Pick<Callers, 'find' | 'running'>;
  readonly budget: Pick<Budget, 'left'>;
  readonly toolCalls: AgentToolCalls;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Logger;
}

/** All APIs subscribe with this queue group, so each request reaches one of them. */
const QUEUE = 'agent-tools';

/** Answers the tool calls of agents, and the workers' questions about budgets. */
export class AgentToolHandler {
  readonly #options: AgentToolHandlerOptions;
  readonly #answering = new Set<Promise<void>>();
  #subscription: Subscription | undefined;

  constructor(options: AgentToolHandlerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#subscription = this.#options.broker.nc.subscribe(SUBJECT.agentToolsAll, {
      queue: QUEUE,
      callback: (error, message) => {
        if (error !== null) this.#options.log.error({ err: error }, 'the subscription to agent tool calls failed');
        // A message that a stream delivers to this subject is not a request (ADR 9, ADR 15).
        else if (message.reply?.startsWith('_INBOX') === true) this.#accept(message);
      },
    });
  }

  /** Accepts no more requests. Resolves when all accepted ones are answered. Idempotent. */
  async stop(): Promise<void> {
    if (this.#subscription?.isClosed() === false) await this.#subscription.drain();
    await Promise.all(this.#answering);
  }

  #accept(message: Msg): void {
    const answered = this.#answer(message).finally(() => this.#answering.delete(answered));
    this.#answering.add(answered);
  }

  /** Never rejects. */
  async #answer(message: Msg): Promise<void> {
    const [, , process = '', taskId = ''] = message.subject.split('.');
    const request = check(AgentToolRequest, parseJson(message.data));
    const tool = request.ok ? request.value.tool : '';
    let answer = refusal(new ApiError('invalid_request', 'This API has no such tool'));
    if (tool === BUDGET_REQUEST) answer = await this.#budgetOf(process, taskId);
    else if (request.ok && isAgentTool(tool)) answer = await this.#call(process, taskId, tool, request.value);
    const { log } = this.#options;
    try {
      message.respond(JSON.stringify(answer));
    } catch (error) {
      log.warn({ err: error, task_id: taskId, tool }, 'the answer to a tool call is larger than a NATS message may be');
      message.respond(
        JSON.stringify(refusal(new ApiError('body_too_large', 'The answer is larger than a NATS message may be'))),
      );
    }
  }

  /** Never rejects. */
  async #budgetOf(process: string, taskId: string): Promise<AgentToolAnswer> {
    const { callers, budget, log } = this.#options;
    try {
      const command = await callers.running(process, taskId);
      const { owner, token_id: tokenId, session_id: sessionId } = command;
      const usd = await budget.left({ owner, tokenId, sessionId, exchangeId: exchangeOf(command) });
      return { ok: true, result: usd === undefined ? {} : { usd } };
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500)
        log.error({ err: error, task_id: taskId }, 'could not determine how much of a budget is left');
      return refusal(error);
    }
  }

  async #call(
    process: string,
    taskId: string,
    tool: AgentToolName,
    request: AgentToolRequest,
  ): Promise<AgentToolAnswer> {
    const { callers, log } = this.#options;
    let caller: Caller | undefined;
    try {
      caller = await callers.find(process, taskId, tool);
      const input = check(AGENT_TOOLS[tool].input, request.input);
      if (!input.ok) throw invalid(input.faults);
      const { target, result } = await this.#options.toolCalls.do(tool, input.value, caller, request.call_id);
      this.#record(tool, taskId, caller, target, 'ok');
      return { ok: true, result };
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500) log.error({ err: error, task_id: taskId, tool }, 'a tool call failed');
      if (caller !== undefined) this.#record(tool, taskId, caller, undefined, error.code);
      else log.warn({ process, task_id: taskId, tool, code: error.code }, 'refused a tool call of a worker');
      return refusal(error);
    }
  }

  #record(
    tool: AgentToolName,
    taskId: string,
    { agent, principal }: Caller,
    target: ToolCallResult['target'],
    result: string,
  ): void {
    if (!('counted' in AGENT_TOOLS[tool])) return;
    this.#options.audit.record(
      defined({
        owner: principal.owner,
        token_id: principal.tokenId,
        verb: tool,
        target,
        result,
        over: 'agent',
        agent_id: agent.agent_id,
        task_id: taskId,
      }),
    );
  }
}

const refusal = (error: ApiError): AgentToolAnswer => ({
  ok: false,
  code: error.code,
  message: problemOf(error).detail,
  ...(error.retryable ? { retryable: true } : {}),
});
