import { sleep } from '../../src/clock.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Delivery } from '../../src/broker/consume.js';
import { isBrokerError } from '../../src/broker/errors.js';
import type { Publication, Publisher } from '../../src/broker/publish.js';
import type { Flaws } from './world.js';

/**
 * Ways in which KSI could be wrong, each put in at a port of the real code: the simulation must find every one of them, or what it
 * does not find proves nothing.
 */
export const FLAWS: Readonly<{ [what: string]: () => Flaws }> = {
  'a promotion that expects nothing': () =>
    everywhere((publication) =>
      publication.subject.includes('.next.') ? without(publication, 'expect') : publication,
    ),
  'a start that expects nothing': () =>
    everywhere((publication) =>
      publication.subject.endsWith('.start') ? without(publication, 'expect') : publication,
    ),
  'two writers in a workspace for one': () => ({ worker: { writers: 2 } }),
  'a place in a workspace that expects nothing, over a slow connection': () => {
    const broker = (real: Broker): Broker => withPublisher((publisher) => slowPlaces(publisher, real))(real);
    return { worker: { broker }, api: { broker } };
  },
  'output that expects nothing': () =>
    everywhere((publication) =>
      publication.subject.endsWith('.output') ? without(publication, 'expect') : publication,
    ),
  'a claim by a stale delivery': () => ({ worker: { delivery: neverStale() } }),
  'a lease that is counted for too long': () => ({ worker: { leaseMs: 25_000 } }),
  'a batch sent once more, as another one, after its acknowledgement was lost': () => ({
    worker: { broker: withPublisher(repeating) },
  }),
  'a reset time that is ignored': () => ({ worker: { ending: (ending) => ({ ...ending, limitResetsAt: undefined }) } }),
  'no sweeper': () => ({ api: { noSweeper: true } }),
};

function everywhere(change: (publication: Publication) => Publication): Flaws {
  const broker = withPublisher((publisher) => ({
    publish: (publication: Publication) => publisher.publish(change(publication)),
    publishBatch: (publications: readonly Publication[]) => publisher.publishBatch(publications.map(change)),
  }));
  return { worker: { broker }, api: { broker } };
}

type Publishing = Pick<Publisher, 'publish' | 'publishBatch'>;

function withPublisher(change: (publisher: Publishing) => Publishing): (broker: Broker) => Broker {
  return (broker) => ({ ...broker, publisher: change(broker.publisher) as Publisher });
}

const without = (publication: Publication, field: 'expect' | 'msgId'): Publication => ({
  ...publication,
  [field]: undefined,
});

/** Changes of one entry seldom meet in a world: the delay lets them. */
const SLOW_MS = 300;

const slowPlaces = (publisher: Publishing, { clock }: Broker): Publishing => ({
  publish: async (publication) => {
    if (!publication.subject.startsWith('$KV.')) return publisher.publish(publication);
    await sleep(clock, SLOW_MS);
    return publisher.publish(without(publication, 'expect'));
  },
  publishBatch: (publications) => publisher.publishBatch(publications),
});

function repeating(publisher: Publishing): Publishing {
  return {
    publish: (publication) => publisher.publish(publication),
    publishBatch: async (publications) => {
      try {
        return await publisher.publishBatch(publications);
      } catch (error) {
        if (!isBrokerError(error, 'unavailable')) throw error;
        return publisher.publishBatch(publications.map((publication) => without(publication, 'msgId')));
      }
    },
  };
}

/** Each delivery pretends to be later than all before it. */
function neverStale(): (delivery: Delivery) => Delivery {
  let count = 0;
  return (delivery) => {
    const { subject, reply, data, receivedAt, seq } = delivery;
    return {
      subject,
      reply,
      data,
      receivedAt,
      seq,
      count: ++count,
      header: (name) => delivery.header(name),
      ack: () => delivery.ack(),
      renew: () => delivery.renew(),
      nak: (ms) => delivery.nak(ms),
    };
  };
}
