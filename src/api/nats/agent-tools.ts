import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../../contracts/wire/check.js';
import {
  BUDGET_QUESTION,
  HAND_TOOLS,
  HandsRequest,
  isHandTool,
  type HandsAnswer,
  type HandToolName,
} from '../../../contracts/agents/tools.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { parseJson } from '../../json.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import type { Audit } from '../../access/audit.js';
import type { Budget } from '../../access/budgets.js';
import { exchangeOf } from '../../access/exchanges.js';
import { problemOf, toApiError } from '../../errors/problem.js';
import type { Asker, Askers } from '../../agents/tools/asker.js';
import type { Deeds, Done } from '../../agents/tools/deeds.js';

export interface HandsDeskOptions {
  readonly broker: Broker;
  readonly askers: Pick<Askers, 'find' | 'running'>;
  readonly budget: Pick<Budget, 'left'>;
  readonly deeds: Deeds;
  readonly audit: Pick<Audit, 'record'>;
  readonly log: Logger;
}

/** The APIs share the requests. */
const QUEUE = 'hands';

/** Answers what agents ask for by their own hands, from the workers that run them. */
export class HandsDesk {
  readonly #options: HandsDeskOptions;
  readonly #answering = new Set<Promise<void>>();
  #subscription: Subscription | undefined;

  constructor(options: HandsDeskOptions) {
    this.#options = options;
  }

  start(): void {
    this.#subscription = this.#options.broker.nc.subscribe(SUBJECT.handsAll, {
      queue: QUEUE,
      callback: (error, message) => {
        if (error !== null) this.#options.log.error({ err: error }, 'agents cannot ask for anything here');
        // What a stream delivers to this subject is no request (ADR 9, ADR 15).
        else if (message.reply?.startsWith('_INBOX') === true) this.#take(message);
      },
    });
  }

  /** Takes nothing more; resolves when all that it has taken is answered. Idempotent. */
  async stop(): Promise<void> {
    if (this.#subscription?.isClosed() === false) await this.#subscription.drain();
    await Promise.all(this.#answering);
  }

  #take(message: Msg): void {
    const answered = this.#answer(message).finally(() => this.#answering.delete(answered));
    this.#answering.add(answered);
  }

  /** Never rejects. */
  async #answer(message: Msg): Promise<void> {
    const [, , process = '', taskId = ''] = message.subject.split('.');
    const request = check(HandsRequest, parseJson(message.data));
    const tool = request.ok ? request.value.tool : '';
    const unknown = refusal(new ApiError('invalid_request', 'This API knows no such tool'));
    let answer = unknown;
    if (tool === BUDGET_QUESTION) answer = await this.#budgetOf(process, taskId);
    else if (request.ok && isHandTool(tool)) answer = await this.#do(process, taskId, tool, request.value);
    const { log } = this.#options;
    try {
      message.respond(JSON.stringify(answer));
    } catch (error) {
      log.warn({ err: error, task_id: taskId, tool }, 'an agent got no answer: it is larger than a message may be');
      message.respond(
        JSON.stringify(refusal(new ApiError('body_too_large', 'The answer is larger than a message may be'))),
      );
    }
  }

  /** Never rejects. */
  async #budgetOf(process: string, taskId: string): Promise<HandsAnswer> {
    const { askers, budget, log } = this.#options;
    try {
      const command = await askers.running(process, taskId);
      const { owner, token_id: tokenId, session_id: sessionId } = command;
      const usd = await budget.left({ owner, tokenId, sessionId, exchangeId: exchangeOf(command) });
      return { ok: true, result: usd === undefined ? {} : { usd } };
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500) log.error({ err: error, task_id: taskId }, 'what is left of a budget is not known');
      return refusal(error);
    }
  }

  async #do(process: string, taskId: string, tool: HandToolName, request: HandsRequest): Promise<HandsAnswer> {
    const { askers, log } = this.#options;
    let asker: Asker | undefined;
    try {
      asker = await askers.find(process, taskId, tool);
      const input = check(HAND_TOOLS[tool].input, request.input);
      if (!input.ok) throw invalid(input.faults);
      const done = await this.#options.deeds.do(tool, input.value, asker, request.call_id);
      this.#keep(tool, taskId, asker, done.target, 'ok');
      return { ok: true, result: done.result };
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status >= 500) log.error({ err: error, task_id: taskId, tool }, 'what an agent asked for failed');
      if (asker !== undefined) this.#keep(tool, taskId, asker, undefined, error.code);
      else log.warn({ process, task_id: taskId, tool, code: error.code }, 'a worker asked for what it may not');
      return refusal(error);
    }
  }

  #keep(tool: HandToolName, taskId: string, { agent, principal }: Asker, target: Done['target'], result: string): void {
    if (!('deed' in HAND_TOOLS[tool])) return;
    this.#options.audit.record({
      owner: principal.owner,
      token_id: principal.tokenId,
      verb: tool,
      ...(target === undefined ? {} : { target }),
      result,
      over: 'agent',
      agent_id: agent.agent_id,
      task_id: taskId,
    });
  }
}

const refusal = (error: ApiError): HandsAnswer => ({
  ok: false,
  code: error.code,
  message: problemOf(error).detail,
  ...(error.retryable ? { again: true } : {}),
});
