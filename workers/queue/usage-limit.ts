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
  /** What Claude signs in with: another account has limits of its own. */
  readonly env: Readonly<Record<string, string>>;
  readonly slots: Pick<Slots, 'pause'>;
  /** Called when tasks are taken again. */
  readonly onEnd: () => void;
  /** Between 0 and 1. */
  readonly random: () => number;
  readonly log: Logger;
}

const Told = Type.Object({ data: EVENT_DATA.WORKER_LIMITED });
const Lifted = Type.Object({ type: Type.Literal('WORKER_LIMIT_LIFTED') });
/** After the limit is reset, so that not all workers are back in the same moment. */
const JITTER_MS = 5_000;
/** Past 2^31 ms, less than a month, a timer of Node fires at once. */
const LONGEST_TIMER_MS = 86_400_000;

/**
 * A usage limit that Claude reports to one worker holds for all of its account: none takes more tasks until it is reset, instead of
 * each running into it.
 */
export class UsageLimit {
  readonly #options: UsageLimitOptions;
  readonly #account: string;
  #until = 0;
  #release: (() => void) | undefined;
  #forget: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: UsageLimitOptions) {
    this.#options = options;
    this.#account = accountOf(options.env);
  }

  /** When it is reset, in ms since 1970; undefined: there is none now. */
  get until(): number | undefined {
    return this.#release === undefined ? undefined : this.#until;
  }

  /** Hears of limits from now on, and of the last one before. Never rejects. */
  async start(): Promise<void> {
    const { broker, log } = this.#options;
    const subject = SUBJECT.workerEvent('*', 'limited');
    const subscription = broker.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#heard(message.data);
        else log.error({ err: error }, 'usage limits that other workers meet are not heard');
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    try {
      const last = await lastBySubject(broker, STREAM.events, subject);
      if (last !== undefined) this.#heard(last.data);
    } catch (error) {
      log.warn({ err: error }, 'it is not known whether a usage limit holds; the first task tells');
    }
  }

  stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#forget?.();
    this.#release?.();
    this.#release = undefined;
    return Promise.resolve();
  }

  /** Claude reported it here. @param resetsAt in ms since 1970. Never rejects. */
  async reached(resetsAt: number): Promise<void> {
    const { broker, workerId, log } = this.#options;
    const limit: Limit = { worker_id: workerId, account: this.#account, resets_at: new Date(resetsAt).toISOString() };
    this.#hold(limit);
    try {
      const subject = SUBJECT.workerEvent(workerId, 'limited');
      await broker.publisher.publish(eventPublication(newEvent(broker.clock, 'WORKER_LIMITED', limit), subject));
    } catch (error) {
      log.warn({ err: error }, 'the other workers could not be told of the usage limit');
    }
  }

  #heard(data: Uint8Array): void {
    const told = parseJson(data);
    if (check(Lifted, told).ok) return this.#end('the usage limit is lifted by an operator; tasks are taken again');
    const event = check(Told, told);
    if (event.ok) this.#hold(event.value.data);
  }

  #hold({ account, resets_at: resetsAt }: Limit): void {
    const { broker, slots, random, log } = this.#options;
    // Another worker's word, or one from before an update, may name any time.
    const until = plausibleReset(Date.parse(resetsAt), broker.clock.now());
    if (account !== this.#account || until <= broker.clock.now() || until <= this.#until) return;
    this.#until = until;
    this.#release ??= slots.pause();
    log.warn(
      { resets_at: new Date(until).toISOString() },
      'a usage limit of Claude is reached; no more tasks are taken until it is reset',
    );
    this.#wait(until + random() * JITTER_MS);
  }

  #wait(until: number): void {
    const { broker } = this.#options;
    this.#forget?.();
    const left = until - broker.clock.now();
    this.#forget = broker.clock.after(Math.min(left, LONGEST_TIMER_MS), () => {
      if (left > LONGEST_TIMER_MS) return this.#wait(until);
      this.#end('the usage limit is reset; tasks are taken again');
    });
  }

  #end(why: string): void {
    this.#forget?.();
    this.#until = 0;
    if (this.#release === undefined) return;
    this.#release();
    this.#release = undefined;
    this.#options.log.info(why);
    this.#options.onEnd();
  }
}

const SIGN_INS = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN', 'ANTHROPIC_BASE_URL'];

/** Tells accounts apart, and nothing of them. */
const accountOf = (env: Readonly<Record<string, string>>): string =>
  createHash('sha256')
    .update(SIGN_INS.map((name) => env[name] ?? '').join('\n'))
    .digest('hex')
    .slice(0, 12);

/** Claude's longest limits are weekly. A time later than this is a mistake, which must not stop the fleet for longer. */
const LONGEST_LIMIT_MS = 8 * 86_400_000;

/** A reset time that can be waited for. */
export const plausibleReset = <T extends number | undefined>(resetsAt: T, now: number): T | number =>
  resetsAt === undefined ? resetsAt : Math.min(resetsAt, now + LONGEST_LIMIT_MS);
