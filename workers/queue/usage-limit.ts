import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { Type } from 'typebox';
import { check } from '../../contracts/wire/check.js';
import { EVENT_DATA, type EventData } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../src/broker/events.js';
import { lastBySubject } from '../../src/broker/read.js';
import { parseJson } from '../../src/json.js';
import type { Slots } from './slots.js';

type Limit = EventData<'WORKER_LIMITED'>;

export interface UsageLimitOptions {
  readonly broker: Broker;
  readonly workerId: string;
  /** Claude's environment. Its credentials identify the account. */
  readonly env: Readonly<Record<string, string>>;
  readonly slots: Pick<Slots, 'pause'>;
  /** Called when the limit ends. */
  readonly onEnd: () => void;
  /** Returns a number between 0 and 1. */
  readonly random: () => number;
  readonly log: Logger;
}

const Limited = Type.Object({ data: EVENT_DATA.WORKER_LIMITED });
const Lifted = Type.Object({ type: Type.Literal('WORKER_LIMIT_LIFTED') });
/** Workers resume within this time after the reset, not all at once. */
const JITTER_MS = 5_000;
/** Node fires a timer of more than 2^31 ms at once. */
const MAX_TIMER_MS = 86_400_000;

/** Shares an account's usage limit between its workers. When Claude reports one to any of them, all pause until it resets. */
export class UsageLimit {
  readonly #options: UsageLimitOptions;
  readonly #account: string;
  #until = 0;
  #release: (() => void) | undefined;
  #cancelTimer: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: UsageLimitOptions) {
    this.#options = options;
    this.#account = accountOf(options.env);
  }

  /** When the limit resets, in ms since 1970. Undefined if there is none. */
  get until(): number | undefined {
    return this.#release === undefined ? undefined : this.#until;
  }

  /** Follows reported limits, and reads the last one. Never rejects. */
  async start(): Promise<void> {
    const { broker, log } = this.#options;
    const subject = SUBJECT.workerEvent('*', 'limited');
    const subscription = broker.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#receive(message.data);
        else log.error({ err: error }, 'cannot receive usage limits from other workers');
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    try {
      const last = await lastBySubject(broker, STREAM.events, subject);
      if (last !== undefined) this.#receive(last.data);
    } catch (error) {
      log.warn({ err: error }, 'could not read the last usage limit; if it still applies, the first task meets it');
    }
  }

  stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#cancelTimer?.();
    this.#release?.();
    this.#release = undefined;
    return Promise.resolve();
  }

  /** Call this when Claude reports a limit to this worker. Never rejects. @param resetsAt in ms since 1970 */
  async reached(resetsAt: number): Promise<void> {
    const { broker, workerId, log } = this.#options;
    const limit: Limit = { worker_id: workerId, account: this.#account, resets_at: new Date(resetsAt).toISOString() };
    this.#hold(limit);
    try {
      const subject = SUBJECT.workerEvent(workerId, 'limited');
      await broker.publisher.publish(eventPublication(newEvent(broker.clock, 'WORKER_LIMITED', limit), subject));
    } catch (error) {
      log.warn({ err: error }, 'could not report the usage limit to the other workers');
    }
  }

  #receive(data: Uint8Array): void {
    const event = parseJson(data);
    if (check(Lifted, event).ok) return this.#end('an operator lifted the usage limit; the worker takes tasks again');
    const limited = check(Limited, event);
    if (limited.ok) this.#hold(limited.value.data);
  }

  #hold({ account, resets_at: resetsAt }: Limit): void {
    const { broker, slots, random, log } = this.#options;
    // A time from another worker or an older version may be implausible.
    const until = plausibleReset(Date.parse(resetsAt), broker.clock.now());
    if (account !== this.#account || until <= broker.clock.now() || until <= this.#until) return;
    this.#until = until;
    this.#release ??= slots.pause();
    log.warn(
      { resets_at: new Date(until).toISOString() },
      "Claude's usage limit is reached; the worker takes no more tasks until it resets",
    );
    this.#wait(until + random() * JITTER_MS);
  }

  #wait(until: number): void {
    const { broker } = this.#options;
    this.#cancelTimer?.();
    const left = until - broker.clock.now();
    this.#cancelTimer = broker.clock.after(Math.min(left, MAX_TIMER_MS), () => {
      if (left > MAX_TIMER_MS) return this.#wait(until);
      this.#end('the usage limit has reset; the worker takes tasks again');
    });
  }

  #end(why: string): void {
    this.#cancelTimer?.();
    this.#until = 0;
    if (this.#release === undefined) return;
    this.#release();
    this.#release = undefined;
    this.#options.log.info(why);
    this.#options.onEnd();
  }
}

const SIGN_INS = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN', 'ANTHROPIC_BASE_URL'];

/** A hash that distinguishes accounts without revealing their credentials. */
const accountOf = (env: Readonly<Record<string, string>>): string =>
  createHash('sha256')
    .update(SIGN_INS.map((name) => env[name] ?? '').join('\n'))
    .digest('hex')
    .slice(0, 12);

/** Claude's longest limits are weekly. A later reset time is an error, which must not stop the fleet for longer. */
const MAX_LIMIT_MS = 8 * 86_400_000;

/** Bounds a reset time. All times are in ms since 1970. */
export const plausibleReset = <T extends number | undefined>(resetsAt: T, now: number): T | number =>
  resetsAt === undefined ? resetsAt : Math.min(resetsAt, now + MAX_LIMIT_MS);
