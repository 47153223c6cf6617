import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { BrokerError } from '../../src/broker/errors.js';
import { OrderedFeed, type FeedMessage, type FeedSource } from '../../src/broker/ordered-feed.js';
import { silent } from '../fixtures/connection.js';

/** A stream, of which messages may be deleted and which may be made anew. */
class Stream implements FeedSource {
  incarnation = 1;
  lastSeq = 0;
  readonly stored = new Map<number, FeedMessage>();
  isConnected = true;
  /** Reads that fail after one message. */
  failures = 0;
  take: (message: FeedMessage) => void = () => undefined;
  look: () => void = () => undefined;

  publish(): FeedMessage {
    const seq = ++this.lastSeq;
    const text = `${this.incarnation}/${seq}`;
    const message = { seq, subject: 'a', data: new TextEncoder().encode(text), header: () => '' };
    this.stored.set(seq, message);
    return message;
  }

  anew(): void {
    this.incarnation++;
    this.lastSeq = 0;
    this.stored.clear();
  }

  async listen(take: (message: FeedMessage) => void, look: () => void): Promise<() => void> {
    this.take = take;
    this.look = look;
    return () => (this.take = () => undefined);
  }

  async position(): Promise<{ incarnation: string; lastSeq: number }> {
    return { incarnation: String(this.incarnation), lastSeq: this.lastSeq };
  }

  async *read(after: number, upTo: number): AsyncGenerator<FeedMessage> {
    for (const message of [...this.stored.values()].filter(({ seq }) => seq > after && seq <= upTo)) {
      await Promise.resolve();
      yield message;
      if (this.failures-- > 0) throw new BrokerError('unavailable', 'away');
      this.failures = Math.max(this.failures, 0);
    }
  }

  connected(): boolean {
    return this.isConnected;
  }

  get texts(): string[] {
    return [...this.stored.values()].map(textOf);
  }
}

const textOf = ({ data }: FeedMessage): string => new TextDecoder().decode(data);
/** Longer than any test: the tests say when the feed looks. */
const NEVER_MS = 2 ** 30;

interface Heard {
  readonly feed: OrderedFeed<string>;
  /** What was delivered since the stream was made. */
  readonly texts: string[];
  readonly resets: boolean[];
}

/** @param slow which messages take their time to be prepared. */
function feedOf(stream: Stream, slow: (seq: number) => boolean = () => false): Heard {
  const texts: string[] = [];
  const resets: boolean[] = [];
  const feed = new OrderedFeed<string>({
    source: stream,
    prepare: (message) => (slow(message.seq) ? Promise.resolve(textOf(message)) : textOf(message)),
    deliver: (text) => void texts.push(text),
    reset: (another) => {
      resets.push(another);
      texts.length = 0;
    },
    checkMs: NEVER_MS,
    log: silent,
  });
  return { feed, texts, resets };
}

async function untilCurrent(feed: OrderedFeed<string>): Promise<void> {
  // Reading may break off, and a stream that is behind is believed only after a few looks.
  for (let looks = 0; looks < 8; looks++) await feed.catchUp();
}

/** What the network and the stream do. */
const action = fc.oneof(
  { weight: 6, arbitrary: fc.constant('publish' as const) },
  { weight: 3, arbitrary: fc.constant('lose' as const) },
  { weight: 2, arbitrary: fc.constant('delay' as const) },
  { weight: 2, arbitrary: fc.constant('arrive' as const) },
  { weight: 1, arbitrary: fc.constant('repeat' as const) },
  { weight: 1, arbitrary: fc.constant('fail' as const) },
  { weight: 1, arbitrary: fc.constant('settle' as const) },
  { weight: 1, arbitrary: fc.constant('look' as const) },
);

describe('an ordered feed', () => {
  it('delivers every message once and in order, even if messages are lost, late, repeated or reordered', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), fc.nat(3), async (actions, slowness) => {
        const stream = new Stream();
        stream.publish();
        const { feed, texts } = feedOf(stream, (seq) => slowness > 0 && seq % slowness === 0);
        await feed.start('beginning');
        const late: FeedMessage[] = [];
        const seen: FeedMessage[] = [];
        const deliver = (message: FeedMessage | undefined): void => {
          if (message === undefined) return;
          seen.push(message);
          stream.take(message);
        };
        for (const what of actions) {
          if (what === 'publish') deliver(stream.publish());
          else if (what === 'lose') stream.publish();
          else if (what === 'delay') late.push(stream.publish());
          // The latest of them first.
          else if (what === 'arrive') deliver(late.pop());
          else if (what === 'repeat') deliver(seen[seen.length >> 1]);
          else if (what === 'fail') stream.failures++;
          else if (what === 'settle') await new Promise(setImmediate);
          else stream.look();
        }
        stream.failures = 0;
        await untilCurrent(feed);
        await feed.stop();
        assert.deepEqual(texts, stream.texts);
        assert.equal(feed.position.seq, stream.lastSeq);
      }),
    );
  });

  it('skips deleted messages', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('kept', 'deleted', 'lost'), { maxLength: 30 }), async (fates) => {
        const stream = new Stream();
        const { feed, texts } = feedOf(stream);
        await feed.start('end');
        const expected: string[] = [];
        for (const fate of fates) {
          const message = stream.publish();
          if (fate === 'deleted') stream.stored.delete(message.seq);
          else expected.push(textOf(message));
          if (fate === 'kept') stream.take(message);
        }
        await untilCurrent(feed);
        await feed.stop();
        assert.deepEqual(texts, expected);
      }),
    );
  });

  it('restarts when the stream was re-created, and then delivers nothing from the old stream', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(20), fc.nat(20), fc.nat(20), async (before, received, missed) => {
        const stream = new Stream();
        const { feed, texts, resets } = feedOf(stream);
        await feed.start('beginning');
        for (let n = 0; n < before; n++) stream.take(stream.publish());
        stream.anew();
        for (let n = 0; n < received; n++) stream.take(stream.publish());
        for (let n = 0; n < missed; n++) stream.publish();
        await untilCurrent(feed);
        await feed.stop();
        assert.deepEqual(texts, stream.texts);
        assert.deepEqual(resets, [true]);
      }),
    );
  });

  it('restarts only if the leader stays behind', async () => {
    const stream = new Stream();
    const { feed, texts, resets } = feedOf(stream);
    await feed.start('beginning');
    for (let n = 0; n < 5; n++) stream.take(stream.publish());
    stream.lastSeq = 3;
    await feed.catchUp();
    stream.lastSeq = 5;
    await feed.catchUp();
    assert.deepEqual([resets, texts.length], [[], 5]);
    stream.lastSeq = 3;
    for (const seq of [4, 5]) stream.stored.delete(seq);
    await untilCurrent(feed);
    assert.deepEqual([resets, texts], [[true], stream.texts]);
    await feed.stop();
  });

  it('continues where reading stopped, and polls only while it is connected', async () => {
    const stream = new Stream();
    const { feed, texts } = feedOf(stream);
    await feed.start('end');
    for (let n = 0; n < 4; n++) stream.publish();
    stream.isConnected = false;
    assert.equal(await feed.catchUp(), false);
    stream.isConnected = true;
    stream.failures = 1;
    assert.equal(await feed.catchUp(), false);
    assert.equal(texts.length, 1);
    assert.equal(await feed.catchUp(), true);
    assert.deepEqual(texts, stream.texts);
    await feed.stop();
    stream.publish();
    assert.equal(await feed.catchUp(), false);
    assert.equal(texts.length, 4);
  });
});
