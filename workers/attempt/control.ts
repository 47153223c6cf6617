import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { check } from '../../contracts/check.js';
import { ControlRequest, type ControlAnswer } from '../../contracts/control.js';
import { SUBJECT } from '../../contracts/names.js';
import type { WorkerContext } from '../context.js';
import type { Attempt } from './attempt.js';

/** Answers who asks the running attempt of a task for something, by request and reply. */
export class Control {
  readonly #log: Logger;
  readonly #attempt: Pick<Attempt, 'cancel' | 'interrupt'>;
  readonly #subscription: Subscription;

  constructor(
    { broker, process }: Pick<WorkerContext, 'broker' | 'process'>,
    taskId: string,
    attempt: Pick<Attempt, 'cancel' | 'interrupt'>,
    log: Logger,
  ) {
    this.#log = log;
    this.#attempt = attempt;
    this.#subscription = broker.nc.subscribe(SUBJECT.control(process, taskId, '*'), {
      callback: (error, message) => {
        if (error !== null) log.warn({ err: error }, 'cannot be asked to cancel the task');
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
      this.#log.warn({ err: error, verb }, 'what was asked of the attempt could not be done');
      return { ok: false, error: 'not_running' };
    });
    message.respond(JSON.stringify(answer));
  }

  async #answer(verb: string, message: Msg): Promise<ControlAnswer> {
    const request = check(ControlRequest, parse(message.data));
    if (!request.ok) return { ok: false, error: 'invalid_request' };
    this.#log.info({ verb, by: request.value.by }, 'asked of the attempt');
    switch (verb) {
      case 'cancel':
        return (await this.#attempt.cancel(request.value.by)) ? { ok: true } : { ok: false, error: 'ended' };
      case 'interrupt':
        return this.#attempt.interrupt() ? { ok: true } : { ok: false, error: 'ended' };
      default:
        return { ok: false, error: 'invalid_request' };
    }
  }
}

function parse(data: Uint8Array): unknown {
  try {
    return data.length === 0 ? {} : JSON.parse(new TextDecoder().decode(data));
  } catch {
    return undefined; // The check refuses it.
  }
}
