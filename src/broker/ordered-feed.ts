import type { Logger } from 'pino';

/** A message of a stream. */
export interface FeedMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  header(name: string): string;
}

/** A stream to read, with a subscription to its new messages. */
export interface FeedSource {
  /** @param take receives new messages, possibly with losses, duplicates and reordering. @param look is called when there may be more to read. */
  listen(take: (message: FeedMessage) => void, look: () => void): Promise<() => void>;
  /** @throws {BrokerError} */
  position(): Promise<{ readonly incarnation: string; readonly lastSeq: number }>;
  /** The messages with `after` < sequence <= `upTo`, in order. @throws {BrokerError} */
  read(after: number, upTo: number): AsyncIterable<FeedMessage>;
  connected(): boolean;
}

export interface OrderedFeedOptions<T> {
  readonly source: FeedSource;
  /** @throws {BrokerError} The feed reads the message again later. */
  readonly prepare: (message: FeedMessage) => T | Promise<T>;
  /** Receives every message once and in order. */
  readonly deliver: (prepared: T, message: FeedMessage) => void;
  /** Called before all messages are delivered again, from the first. @param another the stream was replaced: earlier deliveries are void. */
  readonly reset: (another: boolean) => void;
  /** Called when every message up to `seq` was delivered. */
  readonly current?: (seq: number) => void;
  /** An additional check that the stream is still the same. Default: only incarnation and last sequence are checked. */
  readonly isSame?: (lastSeq: number) => Promise<boolean>;
  /** The interval for comparing a quiet feed with the stream: no later message reveals that the last one was lost (docs/design/broker-protocol.md#lost-last-message). */
  readonly checkMs: number;
  /** After this long without a comparison, deletion markers may have expired, so the feed reads everything again. */
  readonly maxAwayMs?: number;
  readonly log: Logger;
}

/** A busy feed compares only at every 10th check: the next message reveals a lost one, but it may not reveal a re-created stream. */
const CHECKS_WHEN_BUSY = 10;
/** A deposed leader may lag for a moment. A stream that is behind the feed this often has lost its end. */
const MAX_TIMES_BEHIND = 3;

/**
 * Delivers all messages of a stream once and in order, from one core NATS subscription to the republished messages. A gap in the sequences
 * reveals missing messages, and only those are read from the stream (docs/adr/0052).
 */
export class OrderedFeed<T> {
  readonly #options: OrderedFeedOptions<T>;
  #incarnation = '';
  #seq = 0;
  #waiting: FeedMessage[] = [];
  /** The read or delivery in progress. Never rejects. */
  #working: Promise<unknown> | undefined;
  #catchingUp: Promise<boolean> | undefined;
  #started = false;
  #stopped = false;
  #quiet = true;
  #checksSkipped = 0;
  #timesBehind = 0;
  #comparedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #leave: (() => void) | undefined;

  constructor(options: OrderedFeedOptions<T>) {
    this.#options = options;
  }

  /** Resolves when everything stored was delivered, or with `end`, when the stream's end is known. @throws {BrokerError} */
  async start(from: 'beginning' | 'end'): Promise<void> {
    const { source, checkMs } = this.#options;
    this.#leave = await source.listen(
      (message) => this.#take(message),
      () => void this.catchUp(),
    );
    const { incarnation, lastSeq } = await source.position();
    this.#incarnation = incarnation;
    if (from === 'beginning') await this.#fill(lastSeq);
    else this.#seq = lastSeq;
    this.#isCurrent(lastSeq);
    this.#started = true;
    this.#drain();
    if (this.#stopped) return;
    this.#timer = setInterval(() => {
      if (this.#quiet || ++this.#checksSkipped >= CHECKS_WHEN_BUSY) void this.#compare();
      this.#quiet = true;
    }, checkMs);
  }

  /** Resolves when deliveries have stopped. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#leave?.();
    await this.#working;
  }

  /** The position of the last message that was delivered or is known to be deleted. */
  get position(): { readonly incarnation: string; readonly seq: number } {
    return { incarnation: this.#incarnation, seq: this.#seq };
  }

  /** Resolves when everything stored by now was delivered; with false if the broker was unavailable. */
  catchUp(): Promise<boolean> {
    this.#catchingUp ??= this.#catchUp();
    return this.#catchingUp;
  }

  async #catchUp(): Promise<boolean> {
    do await this.#working;
    while (this.#working !== undefined);
    // Later callers need a new comparison: they may know of later messages.
    this.#catchingUp = undefined;
    return this.#compare();
  }

  #take(message: FeedMessage): void {
    this.#quiet = false;
    this.#waiting.push(message);
    this.#drain();
  }

  /** Delivers waiting messages. The usual case, the next message in order, needs no promise. */
  #drain(): void {
    if (this.#working !== undefined || !this.#started) return;
    for (let next = this.#waiting[0]; next !== undefined && !this.#stopped; next = this.#waiting[0]) {
      if (next.seq > this.#seq) {
        if (next.seq > this.#seq + 1) return void this.#work(this.#drainSlowly());
        const prepared = this.#options.prepare(next);
        if (prepared instanceof Promise) return void this.#work(this.#drainSlowly(prepared));
        this.#deliver(prepared, next);
      }
      this.#waiting.shift();
    }
  }

  /** @param first the first waiting message, prepared. */
  async #drainSlowly(first?: Promise<T>): Promise<void> {
    let prepared = first;
    try {
      for (let next = this.#waiting[0]; next !== undefined && !this.#stopped; next = this.#waiting[0]) {
        if (next.seq > this.#seq + 1) {
          this.#options.log.info({ from: this.#seq + 1, to: next.seq - 1 }, 'reading missed messages');
          await this.#fill(next.seq - 1);
        }
        if (next.seq > this.#seq) this.#deliver(await (prepared ?? this.#options.prepare(next)), next);
        prepared = undefined;
        this.#waiting.shift();
      }
    } catch (error) {
      // The next comparison reads the waiting messages again.
      this.#waiting = [];
      this.#options.log.warn({ err: error }, 'missing messages could not be read; retrying');
    }
  }

  /** Reads and delivers the missing messages up to a sequence. */
  async #fill(upTo: number): Promise<void> {
    const { source, prepare } = this.#options;
    for await (const message of source.read(this.#seq, upTo)) {
      const prepared = await prepare(message);
      if (this.#stopped) return;
      this.#deliver(prepared, message);
    }
    // Messages that the stream does not have were deleted.
    this.#seq = Math.max(this.#seq, upTo);
  }

  #deliver(prepared: T, message: FeedMessage): void {
    this.#seq = message.seq;
    this.#options.deliver(prepared, message);
  }

  /** Compares with the stream and reads lost messages, unless a read is in progress. @returns whether it succeeded. */
  async #compare(): Promise<boolean> {
    if (this.#working !== undefined || !this.#started || this.#stopped || !this.#options.source.connected())
      return false;
    this.#checksSkipped = 0;
    return this.#work(this.#compareSlowly());
  }

  async #compareSlowly(): Promise<boolean> {
    const { source, isSame = () => true, maxAwayMs = Infinity, log } = this.#options;
    try {
      const { incarnation, lastSeq } = await source.position();
      if (!(await isSame(lastSeq)) || this.#isAnother(incarnation, lastSeq)) this.#reset(incarnation, true);
      else if (performance.now() - this.#comparedAt > maxAwayMs) this.#reset(incarnation, false);
      if (lastSeq > this.#seq) await this.#fill(lastSeq);
      if (!this.#stopped) this.#isCurrent(lastSeq);
      return true;
    } catch (error) {
      log.warn({ err: error }, 'the feed could not be compared with its stream; retrying');
      return false;
    }
  }

  #isAnother(incarnation: string, lastSeq: number): boolean {
    if (incarnation !== this.#incarnation) return true;
    this.#timesBehind = lastSeq < this.#seq ? this.#timesBehind + 1 : 0;
    return this.#timesBehind >= MAX_TIMES_BEHIND;
  }

  #reset(incarnation: string, another: boolean): void {
    const { log, reset } = this.#options;
    if (another)
      log.warn({ was: this.position, incarnation }, 'the stream was replaced; reading it from the beginning');
    this.#timesBehind = 0;
    this.#waiting = [];
    this.#incarnation = incarnation;
    this.#seq = 0;
    // Set now: if reading fails, the next comparison continues it and must not reset again.
    this.#comparedAt = performance.now();
    reset(another);
  }

  #isCurrent(lastSeq: number): void {
    this.#comparedAt = performance.now();
    this.#options.current?.(lastSeq);
  }

  #work<R>(work: Promise<R>): Promise<R> {
    this.#working = work.finally(() => {
      this.#working = undefined;
      this.#drain();
    });
    return work;
  }
}
