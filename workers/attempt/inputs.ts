import { BlobRef } from '../../contracts/wire/blob.js';
import { check } from '../../contracts/wire/check.js';
import type { EventData } from '../../contracts/events/events.js';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../../src/broker/blobs.js';
import { retryWhileUnavailable } from '../../src/broker/until-known.js';
import type { Broker } from '../../src/broker/connect.js';
import { eventIn } from '../../src/broker/events.js';
import { nextBySubject } from '../../src/broker/read.js';
import { parseJson } from '../../src/json.js';
import type { AttemptOptions } from './options.js';

/** The user messages that earlier attempts of the task received after the prompt, in order. */
export async function earlierInputs({ context, lease, command, claim }: AttemptOptions): Promise<string[]> {
  if (claim.attempt === 1) return [];
  const { broker, blobs } = context;
  return retryWhileUnavailable(broker, lease.signal, () => readInputs(broker, blobs, command.task_id, claim.startSeq));
}

/** @param before the sequence of the attempt's start: the attempt's own inputs are left out. @throws {BrokerError} */
async function readInputs(broker: Broker, blobs: Blobs, taskId: string, before: number): Promise<string[]> {
  const texts: string[] = [];
  for (let seq = 1; ;) {
    // From the leader: a replica may lack the last input.
    const stored = await nextBySubject(broker, STREAM.events, SUBJECT.taskInput(taskId), seq);
    if (stored === undefined || stored.seq > before) return texts;
    seq = stored.seq + 1;
    const { text, ref } = (eventIn(stored.data)?.data ?? {}) as Partial<EventData<'SPAWN_INPUT'>>;
    const blob = check(BlobRef, ref);
    const input = blob.ok ? parseJson(await blobs.get(blob.value)) : text;
    if (typeof input === 'string') texts.push(input);
  }
}
