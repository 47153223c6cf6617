import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import type { StoredEvent } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
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

/** Waits until nothing is queued any more, or nothing has left the queue for so long. A busy machine takes its time. @returns whether it is empty. */
export async function untilQueueEmpty(broker: Broker, quietMs: number): Promise<boolean> {
  let fewest = Infinity;
  for (let progressed = performance.now(); performance.now() - progressed < quietMs; await sleep(LOOK_MS)) {
    try {
      const { messages } = await streamPosition(broker, STREAM.commands);
      if (messages === 0) return true;
      if (messages < fewest) progressed = performance.now();
      fewest = Math.min(fewest, messages);
    } catch {
      // The broker comes back from the last fault.
    }
  }
  return false;
}
