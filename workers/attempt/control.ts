import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../contracts/wire/check.js';
import {
  CONTROL_REQUESTS,
  isControlVerb,
  type ControlAnswer,
  type ControlRequest,
  type ControlVerb,
} from '../../contracts/tasks/control.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { parseJson } from '../../src/json.js';
import type { WorkerContext } from './context.js';
import type { Attempt } from './attempt.js';

/** Answers the control requests for a running attempt. */
export class ControlEndpoint {
  readonly #log: Logger;
  readonly #attempt: Controlled;
  readonly #subscription: Subscription;

  constructor(
    { broker, process }: Pick<WorkerContext, 'broker' | 'process'>,
    taskId: string,
    attempt: Controlled,
    log: Logger,
  ) {
    this.#log = log;
    this.#attempt = attempt;
    this.#subscription = broker.nc.subscribe(SUBJECT.control(process, taskId, '*'), {
      callback: (error, message) => {
        if (error !== null) log.warn({ err: error }, 'cannot receive control requests for the task');
        else void this.#onRequest(message);
      },
    });
  }

  stop(): void {
    this.#subscription.unsubscribe();
  }

  async #onRequest(message: Msg): Promise<void> {
    const verb = message.subject.slice(message.subject.lastIndexOf('.') + 1);
    const answer = await this.#answer(verb, message).catch((error: unknown): ControlAnswer => {
      this.#log.warn({ err: error, verb }, 'control request failed');
      return { ok: false, error: 'not_running' };
    });
    try {
      message.respond(JSON.stringify(answer));
    } catch (error) {
      this.#log.warn({ err: error, verb }, 'could not answer a control request: the connection is closed');
    }
  }

  async #answer(verb: string, message: Msg): Promise<ControlAnswer> {
    if (!isControlVerb(verb)) return { ok: false, error: 'invalid_request' };
    const request = check(CONTROL_REQUESTS[verb], message.data.length === 0 ? {} : parseJson(message.data));
    if (!request.ok) return { ok: false, error: 'invalid_request' };
    this.#log.info({ verb, by: request.value.by }, 'control request');
    return DO[verb](this.#attempt, request.value as never);
  }
}

type Controlled = Pick<Attempt, 'cancel' | 'interrupt' | 'input' | 'approve'>;

const okOrEnded = (done: boolean): ControlAnswer => (done ? { ok: true } : { ok: false, error: 'ended' });

const DO: { [V in ControlVerb]: (attempt: Controlled, request: ControlRequest<V>) => Promise<ControlAnswer> } = {
  cancel: async (attempt, { by }) => okOrEnded(await attempt.cancel(by)),
  interrupt: (attempt) => Promise.resolve(okOrEnded(attempt.interrupt())),
  input: async (attempt, { text, by }) => okOrEnded(await attempt.input(text, by)),
  approve: (attempt, { by, approval_id: id, rule_id: rule, ...answer }) => attempt.approve(id, answer, by, rule),
};
