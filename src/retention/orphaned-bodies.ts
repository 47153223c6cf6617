import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import { hasAny } from '../broker/read.js';
import { firstIdAt, type ReadModel } from '../store/read-model.js';

export interface OrphanedBodiesOptions {
  readonly broker: Broker;
  readonly blobs: Pick<Blobs, 'namesOf' | 'delete'>;
  readonly model: Pick<ReadModel, 'get' | 'session'>;
}

/** A body is stored before the message that refers to it. */
const LEAST_AGE_MS = 3_600_000;
const UUID = /^[0-9a-f-]{36}$/;

/**
 * Deletes bodies of deleted tasks and sessions that no message refers to: their attempt stored them, and lost its lease before it stored the
 * message. The deletion could not know of them. @throws {BrokerError}
 */
export async function deleteOrphanedBodies(options: OrphanedBodiesOptions, signal: AbortSignal): Promise<void> {
  const { broker, blobs } = options;
  const youngest = firstIdAt(new Date(broker.clock.now() - LEAST_AGE_MS).toISOString());
  const isGone = { event: taskIsGone, transcript: sessionIsGone } as const;
  for (const kind of ['event', 'transcript'] as const) {
    const gone = new Map<string, boolean>();
    for (const { name, id } of await blobs.namesOf(kind)) {
      if (signal.aborted) return;
      const made = name.split('/', 3)[2] ?? '';
      if (!UUID.test(id) || !UUID.test(made) || made >= youngest) continue;
      const known = gone.get(id) ?? (await isGone[kind](options, id));
      gone.set(id, known);
      if (known) await blobs.delete(name);
    }
  }
}

const taskIsGone = async ({ broker, model }: OrphanedBodiesOptions, id: string): Promise<boolean> =>
  model.get(id) === undefined && (await hasAny(broker, STREAM.events, SUBJECT.taskDeleted(id)));

/** A session may have begun anew under the same name, also by an import, which makes no task. */
const sessionIsGone = async ({ broker, model }: OrphanedBodiesOptions, id: string): Promise<boolean> =>
  (await model.session(id)) === undefined &&
  (await hasAny(broker, STREAM.events, SUBJECT.sessionDeleted(id))) &&
  !(await hasAny(broker, STREAM.transcripts, SUBJECT.transcript(id)));
