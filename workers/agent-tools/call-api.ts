import type { Logger } from 'pino';
import { uuidv7 } from '../../src/uuid.js';
import { check } from '../../contracts/wire/check.js';
import {
  AgentToolAnswer,
  WAIT_PER_REQUEST_S,
  type AgentToolRequest,
  type AgentToolName,
} from '../../contracts/agents/tools.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { sleep } from '../../src/clock.js';
import { parseJson } from '../../src/json.js';

export interface CallApiOptions {
  readonly broker: Pick<Broker, 'nc' | 'clock'>;
  /** This worker's name in subjects. */
  readonly process: string;
  readonly taskId: string;
  /** Aborts when the attempt ends. */
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Covers the longest wait for a task and a busy broker. */
const ANSWER_MS = (WAIT_PER_REQUEST_S + 10) * 1_000;
const PAUSE_MS = 1_000;
/** How long to retry while no API answers: an API restarts within this time. */
const RETRY_MS = 30_000;

const UNREACHABLE = {
  ok: false as const,
  code: 'broker_unavailable',
  message: "KSI's API does not answer now. Try again later.",
};

/** Sends a tool call to an API. Retries while no API answers or the error is retryable. Rejects only when `signal` aborts. */
export async function callApi(tool: AgentToolName, input: unknown, options: CallApiOptions): Promise<AgentToolAnswer> {
  const { broker, process, taskId, signal, log } = options;
  const request: AgentToolRequest = { v: FORMAT_VERSION, tool, call_id: uuidv7(), input };
  const until = broker.clock.monotonic() + RETRY_MS;
  for (;;) {
    signal.throwIfAborted();
    const answer = await once(broker, SUBJECT.agentTools(process, taskId), JSON.stringify(request)).catch(
      (error: unknown): AgentToolAnswer => {
        log.debug({ err: error, tool }, 'no API answered a tool call; retrying');
        return { ...UNREACHABLE, retryable: true };
      },
    );
    if (answer.ok || answer.retryable !== true) return answer;
    if (broker.clock.monotonic() > until) return answer;
    await sleep(broker.clock, PAUSE_MS, signal);
  }
}

async function once({ nc }: Pick<Broker, 'nc'>, subject: string, request: string): Promise<AgentToolAnswer> {
  const { data } = await nc.request(subject, request, { timeout: ANSWER_MS });
  const answer = check(AgentToolAnswer, parseJson(data));
  return answer.ok
    ? answer.value
    : {
        ok: false,
        code: 'internal',
        message: "The API's answer has an unknown format. Update the worker and the API to the same version.",
      };
}
