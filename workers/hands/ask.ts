import type { Logger } from 'pino';
import { v7 as uuidv7 } from 'uuid';
import { check } from '../../contracts/wire/check.js';
import { HandsAnswer, WAIT_PER_REQUEST_S, type HandsRequest, type HandToolName } from '../../contracts/agents/tools.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { sleep } from '../../src/clock.js';
import { parseJson } from '../../src/json.js';

export interface AskOptions {
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
export async function askApi(tool: HandToolName, input: unknown, options: AskOptions): Promise<HandsAnswer> {
  const { broker, process, taskId, signal, log } = options;
  const request: HandsRequest = { v: FORMAT_VERSION, tool, call_id: uuidv7(), input };
  const until = broker.clock.monotonic() + RETRY_MS;
  for (;;) {
    signal.throwIfAborted();
    const answer = await once(broker, SUBJECT.hands(process, taskId), JSON.stringify(request)).catch(
      (error: unknown): HandsAnswer => {
        log.debug({ err: error, tool }, 'no API answered a tool call; retrying');
        return { ...UNREACHABLE, again: true };
      },
    );
    if (answer.ok || answer.again !== true) return answer;
    if (broker.clock.monotonic() > until) return answer;
    await sleep(broker.clock, PAUSE_MS, signal);
  }
}

async function once({ nc }: Pick<Broker, 'nc'>, subject: string, request: string): Promise<HandsAnswer> {
  const { data } = await nc.request(subject, request, { timeout: ANSWER_MS });
  const answer = check(HandsAnswer, parseJson(data));
  return answer.ok
    ? answer.value
    : {
        ok: false,
        code: 'internal',
        message: "The API's answer has an unknown format. Update the worker and the API to the same version.",
      };
}
