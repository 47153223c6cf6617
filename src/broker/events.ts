import { uuidv7 } from '../uuid.js';
import type { EventData, EventType, StoredEvent } from '../../contracts/events/events.js';
import { FORMAT_VERSION, HEADER, SUBJECT } from '../../contracts/wire/names.js';
import { isRecord, parseJson } from '../json.js';
import { timestampOf, type Clock } from '../clock.js';
import type { Expectation, Publication } from './publish.js';

/** Creates an event with a new id, so that repeated publishing is idempotent. @param clock the broker's time. */
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
 * Parses the event of a message. Its data is not validated.
 * @returns undefined if a required envelope field is missing: one malformed message must not block the messages after it.
 */
export const eventIn = (data: Uint8Array): StoredEvent | undefined => asEvent(parseJson(data));

/** `eventIn` for parsed JSON. */
export function asEvent(value: unknown): StoredEvent | undefined {
  if (!isRecord(value) || !isRecord(value['data'])) return undefined;
  const isEvent = [value['id'], value['type'], value['timestamp']].every((field) => typeof field === 'string');
  return isEvent ? (value as unknown as StoredEvent) : undefined;
}

/**
 * The publication that makes KSI_EVENTS store an event as `subject` (`ksi.events.…`).
 * @param expect refers to the *stored* subjects; on ingest subjects it would always pass (docs/design/broker-protocol.md#stored-subjects).
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
