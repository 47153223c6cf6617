import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { StoredEvent } from '../../contracts/events.js';
import { STREAM, SUBJECT } from '../../contracts/names.js';
import { connectBroker, type Broker } from '../../src/broker/connect.js';
import { streamPosition } from '../../src/broker/read.js';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import { readStream } from '../../src/broker/replay.js';
import type { WholeEvent } from './recorder.js';

/** As the operator, who may read what is stored. */
export const connectAsOperator = ({ nats }: Endpoints, signal: AbortSignal): Promise<Broker> =>
  connectBroker({
    url: nats.url,
    name: 'chaos',
    credentialsFile: nats.credentials.operator,
    inboxPrefix: nats.inboxes.operator,
    log: pino({ level: 'silent' }),
    signal,
  });

export async function readEvents(broker: Broker): Promise<WholeEvent[]> {
  const events: WholeEvent[] = [];
  const { lastSeq } = await streamPosition(broker, STREAM.events);
  for await (const { seq, subject, data } of readStream(broker, STREAM.events, SUBJECT.eventsAll, 0, lastSeq))
    events.push({ seq, subject, event: JSON.parse(new TextDecoder().decode(data)) as StoredEvent });
  return events;
}

/** The subjects of what is still queued. */
export async function queuedSubjects(broker: Broker): Promise<string[]> {
  const info = await broker.jsm.streams.info(STREAM.commands, { subjects_filter: SUBJECT.commandsAll });
  return Object.keys(info.state.subjects ?? {});
}

/** How often the queue is looked at: the broker tells nobody that it is empty. */
const LOOK_MS = 500;

/** Waits until nothing is queued any more, or `signal` aborts. @returns whether that is so. */
export async function untilQueueEmpty(broker: Broker, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const { messages } = await streamPosition(broker, STREAM.commands);
      if (messages === 0) return true;
    } catch {
      // The broker comes back from the last fault.
    }
    // An abort only ends the pause early.
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
