import type { Logger } from 'pino';

/** A message of a stream. */
export interface FeedMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  header(name: string): string;
}

/** A stream, and where its messages arrive as soon as they are stored. */
export interface FeedSource {
  /** @param take gets messages; some may be lost, repeated or out of order. @param look is called when there may be more to read. */
  listen(take: (message: FeedMessage) => void, look: () => void): Promise<() => void>;
  /** @throws {BrokerError} */
  position(): Promise<{ readonly incarnation: string; readonly lastSeq: number }>;
  /** The messages after one sequence and up to another, in order. @throws {BrokerError} */
  read(after: number, upTo: number): AsyncIterable<FeedMessage>;
  connected(): boolean;
}

export interface OrderedFeedOptions<T> {
  readonly source: FeedSource;
  /** @throws {BrokerError} The message is read again later. */
  readonly prepare: (message: FeedMessage) => T | Promise<T>;
  /** Gets every message of the stream once and in order. */
  readonly deliver: (prepared: T, message: FeedMessage) => void;
  /** All messages follow once more, from the first. @param another the stream is another one: what was delivered is void. */
  readonly reset: (another: boolean) => void;
  /** Every message up to `seq` was delivered. */
  readonly current?: (seq: number) => void;
  /** Whether the stream still holds what was delivered. Default: it does, as long as its incarnation and its end say so. */
  readonly isSame?: (lastSeq: number) => Promise<boolean>;
  /** A quiet feed compares itself with the stream so often, as no successor reveals a lost last message (docs/design/broker-protocol.md#lost-last-message). */
  readonly checkMs: number;
  /** After this long without a comparison the stream may have forgotten deletions, so everything is read again. */
  readonly maxAwayMs?: number;
  readonly log: Logger;
}

/** A busy feed skips this many checks: a lost message shows in its successor, but a stream made anew may not. */
const CHECKS_WHEN_BUSY = 10;
/** A leader that was deposed and does not know it yet may be behind for a moment. A stream that is behind this often has lost its end. */
const BEHIND_FOR_GOOD = 3;

/**
 * All messages of a stream in order, each once, by one plain subscription to what the broker republishes. A gap in the sequences shows that
 * messages are missing, and only those are read from the stream (docs/adr/0052).
 */
export class OrderedFeed<T> {
  readonly #options: OrderedFeedOptions<T>;
  #incarnation = '';
  #seq = 0;
  #waiting: FeedMessage[] = [];
  /** What reads or delivers at the moment. It never rejects. */
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

  /** Resolves once it has delivered what the stream holds, or has noted its end to go on from there. @throws {BrokerError} */
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

  /** Resolves when nothing is delivered any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#leave?.();
    await this.#working;
  }

  /** Of the last message that was delivered, or that is known to be gone. */
  get position(): { readonly incarnation: string; readonly seq: number } {
    return { incarnation: this.#incarnation, seq: this.#seq };
  }

  /** Resolves when all that the stream holds by now was delivered; with false when that could not be found out, as the broker is away. */
  catchUp(): Promise<boolean> {
    this.#catchingUp ??= this.#catchUp();
    return this.#catchingUp;
  }

  async #catchUp(): Promise<boolean> {
    do await this.#working;
    while (this.#working !== undefined);
    // A caller from here on may know of more than the comparison that begins now.
    this.#catchingUp = undefined;
    return this.#compare();
  }

  #take(message: FeedMessage): void {
    this.#quiet = false;
    this.#waiting.push(message);
    this.#drain();
  }

  /** The usual case needs no promise: the next message, whole. */
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

  /** @param first what is made of the first message. */
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
      // The next comparison reads again what waits.
      this.#waiting = [];
      this.#options.log.warn({ err: error }, 'messages are missing and could not be read; trying again');
    }
  }

  /** Reads and delivers what is missing up to a sequence. */
  async #fill(upTo: number): Promise<void> {
    const { source, prepare } = this.#options;
    for await (const message of source.read(this.#seq, upTo)) {
      const prepared = await prepare(message);
      if (this.#stopped) return;
      this.#deliver(prepared, message);
    }
    // What the stream does not hold was deleted.
    this.#seq = Math.max(this.#seq, upTo);
  }

  #deliver(prepared: T, message: FeedMessage): void {
    this.#seq = message.seq;
    this.#options.deliver(prepared, message);
  }

  /** Compares with the stream, and reads what never came, unless something is being read. @returns whether it could. */
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
      log.warn({ err: error }, 'the stream could not be compared with; trying again');
      return false;
    }
  }

  #isAnother(incarnation: string, lastSeq: number): boolean {
    if (incarnation !== this.#incarnation) return true;
    this.#timesBehind = lastSeq < this.#seq ? this.#timesBehind + 1 : 0;
    return this.#timesBehind >= BEHIND_FOR_GOOD;
  }

  #reset(incarnation: string, another: boolean): void {
    const { log, reset } = this.#options;
    if (another) log.warn({ was: this.position, incarnation }, 'the stream is another one; beginning anew');
    this.#timesBehind = 0;
    this.#waiting = [];
    this.#incarnation = incarnation;
    this.#seq = 0;
    // It counts as begun anew, even if reading breaks off: the next comparison goes on from there.
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
