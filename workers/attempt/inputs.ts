import { BlobRef } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import type { EventData } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../../src/broker/blobs.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { nextBySubject } from '../../src/broker/read.js';
import { parseJson } from '../../src/json.js';

/**
 * What the attempts of a task were told beside its prompt, in that order.
 * @param before the sequence of an attempt's start: what that attempt is told itself is left out. @throws {BrokerError}
 */
export async function readInputs(broker: Broker, blobs: Blobs, taskId: string, before: number): Promise<string[]> {
  const texts: string[] = [];
  for (let seq = 1; ;) {
    // From the leader: a replica may not have the last one yet.
    const stored = await nextBySubject(broker, STREAM.events, SUBJECT.taskInput(taskId), seq);
    if (stored === undefined || stored.seq > before) return texts;
    seq = stored.seq + 1;
    const { text, ref } = (eventIn(stored.data)?.data ?? {}) as Partial<EventData<'SPAWN_INPUT'>>;
    const body = check(BlobRef, ref);
    const said = body.ok ? parseJson(await blobs.get(body.value)) : text;
    if (typeof said === 'string') texts.push(said);
  }
}
