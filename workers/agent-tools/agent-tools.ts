import { check } from '../../contracts/wire/check.js';
import {
  DEFAULT_WAIT_S,
  AGENT_TOOLS,
  AgentToolTask,
  MAX_TOOL_CALLS,
  MAX_WAIT_S,
  WAIT_PER_REQUEST_S,
  type AgentToolAnswer,
  type AgentToolName,
} from '../../contracts/agents/tools.js';
import { callApi, type CallApiOptions } from './call-api.js';

export interface AgentToolsOptions extends CallApiOptions {
  /** Called when a wait for another task begins. @returns called when the wait is over. */
  readonly onWait?: () => () => void;
  /** Lends the workspace to an unfinished task that the agent waits for. @returns called before the tool answers. */
  readonly lendTo?: ((taskId: string) => Promise<() => Promise<void>>) | undefined;
  /** How many bytes of large values were taken out of a tool's input. */
  readonly lacking?: (json: string) => number;
}

type Ask = (tool: AgentToolName, input: unknown) => Promise<AgentToolAnswer>;

/** The agent tools of one attempt. Limits the number of tool calls and the waits. */
export class AgentTools {
  readonly #ask: Ask;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  readonly #onWait: () => () => void;
  readonly #lendTo: AgentToolsOptions['lendTo'];
  readonly #lacking: (json: string) => number;
  #toolCalls = 0;

  constructor(options: AgentToolsOptions, ask: Ask = (tool, input) => callApi(tool, input, options)) {
    this.#ask = ask;
    this.#now = () => options.broker.clock.monotonic();
    this.#signal = options.signal;
    this.#onWait = options.onWait ?? (() => () => undefined);
    this.#lendTo = options.lendTo;
    this.#lacking = options.lacking ?? (() => 0);
  }

  /** @throws the signal's reason when the attempt ends. */
  async do(tool: AgentToolName, input: Record<string, unknown>): Promise<AgentToolAnswer> {
    if (this.#lacking(JSON.stringify(input)) > 0)
      return { ok: false, code: 'body_too_large', message: 'The tool input is too large. Send less at once.' };
    if ('counted' in AGENT_TOOLS[tool] && ++this.#toolCalls > MAX_TOOL_CALLS)
      return {
        ok: false,
        code: 'rate_limited',
        message: `A task may send messages, set values and spawn tasks at most ${MAX_TOOL_CALLS} times. Finish with the tools that read.`,
      };
    if (tool !== 'task_spawn' && tool !== 'task_wait') return this.#ask(tool, input);
    const { wait_s: requestedWait, ...rest } = input;
    const waitS = typeof requestedWait === 'number' ? requestedWait : DEFAULT_WAIT_S[tool];
    if (waitS > MAX_WAIT_S) return this.#ask(tool, input);
    if (waitS === 0) return this.#waiting(tool, rest, 0);
    const waited = this.#onWait();
    try {
      return await this.#waiting(tool, rest, waitS);
    } finally {
      waited();
    }
  }

  /** Waits in several requests, so that no API waits for a dead worker and an API may restart meanwhile. */
  async #waiting(tool: AgentToolName, input: Record<string, unknown>, waitS: number): Promise<AgentToolAnswer> {
    const until = this.#now() + waitS * 1_000;
    const left = (): number => Math.min(WAIT_PER_REQUEST_S, Math.max(0, until - this.#now()) / 1_000);
    const firstS = this.#lendTo === undefined ? left() : 0;
    let answer = await this.#ask(tool, tool === 'task_wait' ? { ...input, wait_s: firstS } : input);
    let returned: (() => Promise<void>) | undefined;
    try {
      while (answer.ok) {
        const task = check(AgentToolTask, answer.result);
        if (!task.ok || task.value.ended || left() === 0) return answer;
        this.#signal.throwIfAborted();
        returned ??= await this.#lendTo?.(task.value.task_id);
        answer = await this.#ask('task_wait', { task_id: task.value.task_id, wait_s: left() });
      }
      return answer;
    } finally {
      await returned?.();
    }
  }
}
