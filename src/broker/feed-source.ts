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
  /** Where the broker republishes them. Absent: nowhere, so that what anybody publishes on the subjects is only a hint to look. */
  readonly republished?: string | undefined;
}

/** A stream as an ordered feed reads it. */
export function feedSource(broker: Broker, { stream, stored, republished }: StreamSource): FeedSource {
  return {
    listen: async (take, look) => {
      const subscription = broker.nc.subscribe(republished ?? stored, {
        callback: (_error, msg) => {
          if (republished === undefined) return look();
          const seq = Number(msg.headers?.get(HEADER.seq));
          // Without a sequence it is not the broker that republished it.
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
