import { v7 as uuidv7 } from 'uuid';
import type { EventData, EventType, StoredEvent } from '../../contracts/events/events.js';
import { FORMAT_VERSION, HEADER, SUBJECT } from '../../contracts/wire/names.js';
import { isRecord, parseJson } from '../json.js';
import { timestampOf, type Clock } from '../clock.js';
import type { Expectation, Publication } from './publish.js';

/** A new event, ready to be published once or many times under the one id. @param clock the broker's time. */
export const newEvent = <T extends EventType>(
  clock: Pick<Clock, 'now'>,
  type: T,
  data: EventData<T>,
): StoredEvent<T> => ({
  v: FORMAT_VERSION,
  id: uuidv7(),
  type,
  timestamp: timestampOf(clock),
  data,
});

/**
 * The event that a message holds. Its data is as its author wrote it.
 * @returns undefined when it lacks what all readers rely on: one such message must not stop all that come after it.
 */
export const eventIn = (data: Uint8Array): StoredEvent | undefined => asEvent(parseJson(data));

/** The same of its parsed JSON. */
export function asEvent(value: unknown): StoredEvent | undefined {
  if (!isRecord(value) || !isRecord(value['data'])) return undefined;
  const isEvent = [value['id'], value['type'], value['timestamp']].every((field) => typeof field === 'string');
  return isEvent ? (value as unknown as StoredEvent) : undefined;
}

/**
 * How an event is published so that KSI_EVENTS stores it as `subject` (`ksi.events.…`).
 * @param expect on the *stored* subjects; on the ingest ones it would always pass (docs/design/broker-protocol.md#stored-subjects).
 */
export const eventPublication = <E extends Expectation | undefined = undefined>(
  event: StoredEvent,
  subject: string,
  expect?: E,
  traceparent?: string,
): Publication & { readonly msgId: string; readonly expect: E } => ({
  subject: SUBJECT.ingest(subject),
  payload: JSON.stringify(event),
  msgId: event.id,
  expect: expect as E,
  headers: {
    [HEADER.type]: event.type,
    ...(traceparent === undefined || traceparent === '' ? {} : { [HEADER.traceparent]: traceparent }),
  },
});
