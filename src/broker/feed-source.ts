import { HEADER } from '../../contracts/wire/names.js';
import { incarnationOf } from '../../contracts/wire/cursor.js';
import type { Broker } from './connect.js';
import type { FeedSource } from './ordered-feed.js';
import { streamPosition } from './read.js';
import { readStream } from './replay.js';

export interface StreamSource {
  readonly stream: string;
  /** The subjects of its messages. */
  readonly stored: string;
  /** Where the broker republishes them. Absent: it does not, and messages on `stored` only trigger a read of the stream. */
  readonly republished?: string | undefined;
}

/** Makes a stream the source of an ordered feed. */
export function feedSource(broker: Broker, { stream, stored, republished }: StreamSource): FeedSource {
  return {
    listen: async (take, look) => {
      const subscription = broker.nc.subscribe(republished ?? stored, {
        callback: (_error, msg) => {
          if (republished === undefined) return look();
          const seq = Number(msg.headers?.get(HEADER.seq));
          // A message without a sequence was not republished by the broker.
          if (!Number.isSafeInteger(seq) || seq <= 0) return;
          const subject =
            republished === stored ? msg.subject : stored.slice(0, -1) + msg.subject.slice(republished.length - 1);
          take({ seq, subject, data: msg.data, header: (name) => msg.headers?.get(name) ?? '' });
        },
      });
      const forget = broker.onConnection((connected) => {
        if (connected) look();
      });
      await broker.nc.flush();
      return () => {
        subscription.unsubscribe();
        forget();
      };
    },
    position: async () => {
      const { created, lastSeq } = await streamPosition(broker, stream);
      return { incarnation: incarnationOf(created), lastSeq };
    },
    read: (after, upTo) => readStream(broker, stream, stored, after, upTo),
    connected: () => broker.connected(),
  };
}
