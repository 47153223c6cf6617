import { setTimeout as sleep } from 'node:timers/promises';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError, KsiUnreachableError } from '../../client/errors.js';
import type { EventMessage } from '../../client/event-message.js';
import { TurnView, type TurnUpdate } from './turn-view.js';

const RECONNECT_MS = 2_000;

interface FollowOptions {
  /** The columns of the terminal. */
  readonly width: () => number;
  /** Called for each failed connection attempt. */
  readonly onRetry: (error: Error) => void;
}

/** A running task of the chat. */
export class Turn {
  readonly #client: KsiClient;
  readonly #left = new AbortController();
  #id: string | undefined;
  #interrupted = false;

  constructor(client: KsiClient) {
    this.#client = client;
  }

  /** The task id, once the task is accepted. */
  get id(): string | undefined {
    return this.#id;
  }

  get isInterrupted(): boolean {
    return this.#interrupted;
  }

  /** Aborts when the chat stops following the task. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  /** Stops following the task, which continues. */
  leave(): void {
    this.#left.abort(new Error('left'));
  }

  /**
   * Follows the task to its end. Failed and broken connections are retried.
   * @throws {KsiError} @throws the signal's reason.
   */
  follow(id: string, since: string, options: FollowOptions): AsyncGenerator<TurnUpdate> {
    this.#id = id;
    return this.#updates(id, since, options);
  }

  async *#updates(id: string, since: string, { width, onRetry }: FollowOptions): AsyncGenerator<TurnUpdate> {
    const view = new TurnView(width);
    for await (const message of this.#messages(id, since, onRetry)) {
      const update = 'op' in message ? await this.#afterGap(id) : view.show(message);
      yield update;
      if (update.ended !== undefined) return;
    }
  }

  /** Interrupts Claude, now or when the task is accepted. A task that has not started is cancelled. @throws {KsiError} */
  async interrupt(): Promise<void> {
    this.#interrupted = true;
    if (this.#id === undefined) return;
    const { tasks } = this.#client;
    try {
      await tasks.interrupt(this.#id);
    } catch (error) {
      if (!isRefusal(error, 'not_running')) throw error;
      await tasks.cancel(this.#id).catch((failure: unknown) => {
        if (!isRefusal(failure, 'task_ended')) throw failure;
      });
    }
  }

  async *#messages(id: string, since: string, onRetry: (error: Error) => void): AsyncGenerator<EventMessage> {
    const { signal } = this;
    const subjects = [SUBJECT.taskAll(id), SUBJECT.live(id)];
    for (;;) {
      try {
        yield* this.#client.events({ subjects, since, signal, onRetry });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof KsiUnreachableError)) throw error;
        onRetry(error);
        await sleep(RECONNECT_MS, undefined, { signal });
      }
    }
  }

  /** Handles deleted events: the outcome may be among them. */
  async #afterGap(id: string): Promise<TurnUpdate> {
    const deletedNotice = { to: 'stderr' as const, text: 'Some of Claude’s output has been deleted.\n' };
    const { status, ended_at: ended, output } = await this.#client.tasks.get(id, { signal: this.signal });
    if (ended === undefined) return { pieces: [deletedNotice] };
    const result = output?.['result'];
    const words = typeof result === 'string' ? [{ to: 'stdout' as const, text: `${result}\n` }] : [];
    return { pieces: [deletedNotice, ...words], ended: { status, summary: status } };
  }
}

/** Whether KSI answered with this error code. */
export const isRefusal = (error: unknown, code: string): boolean => error instanceof KsiError && error.code === code;
