import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from './connect.js';
import { deleteMessage, lastBySubject } from './read.js';

/**
 * Makes the broker publish `payload` on `ksi.due.<scheduleId>` at a time, in ms since 1970. A past time is due at once. Idempotent: it
 * replaces an earlier schedule with this id.
 * @throws {BrokerError}
 */
export async function putSchedule(broker: Broker, scheduleId: string, at: number, payload = ''): Promise<void> {
  await broker.publisher.publish({
    subject: SUBJECT.schedule(scheduleId),
    payload,
    headers: {
      [HEADER.schedule]: `@at ${new Date(at).toISOString()}`,
      [HEADER.scheduleTarget]: SUBJECT.due(scheduleId),
    },
  });
}

/** Deletes a schedule. One that has fired or never existed is no error. @throws {BrokerError} */
export async function deleteSchedule(broker: Broker, scheduleId: string): Promise<void> {
  const stored = await lastBySubject(broker, STREAM.schedules, SUBJECT.schedule(scheduleId));
  if (stored !== undefined) await deleteMessage(broker, STREAM.schedules, stored.seq);
}
