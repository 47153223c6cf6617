import { setTimeout as sleep } from 'node:timers/promises';
import type { EventEnvelope } from '../../../contracts/events/events.js';
import { isEnded, statusOfEvent } from '../../../contracts/tasks/states.js';
import { readServerSentEvents } from '../../../src/client/sse.js';
import type { Access } from '../client.js';
import type { Reader } from '../history.js';

export interface TaskReaderOptions {
  readonly taskId: string;
  readonly apis: readonly Access[];
  readonly random: () => number;
  /** Ends it though the task has not ended. */
  readonly signal: AbortSignal;
}

const MIN_MS = 500;
const MAX_MS = 4_000;
const PAUSE_MS = 200;
/** What an API may answer while faults are at work: its broker is away. An accepted task is known to every API. */
const BROKER_AWAY = 503;

/** Reads one task's events to its outcome by server-sent events, over connections that it breaks off and resumes. */
export async function readTask({ taskId, apis, random, signal }: TaskReaderOptions): Promise<Reader> {
  const seqs: number[] = [];
  const complaints: string[] = [];
  let connections = 0;
  let last: string | undefined;
  const receive = (id: string | undefined, data: string): boolean => {
    const event = JSON.parse(data) as EventEnvelope;
    if (id === undefined) complaints.push(`event ${event.seq} came without an id`);
    seqs.push(event.seq);
    last = id;
    const status = statusOfEvent(event.type);
    return status !== undefined && isEnded(status);
  };
  for (let ended = false; !ended && !signal.aborted;) {
    const api = apis[Math.floor(random() * apis.length)];
    const broken = AbortSignal.timeout(Math.round(MIN_MS + random() * (MAX_MS - MIN_MS)));
    try {
      const answer = await fetch(`${api?.url ?? ''}/tasks/${taskId}/events`, {
        headers: {
          authorization: `Bearer ${api?.token ?? ''}`,
          accept: 'text/event-stream',
          ...(last === undefined ? {} : { 'last-event-id': last }),
        },
        signal: AbortSignal.any([broken, signal]),
      });
      if (answer.ok && answer.body !== null) {
        connections++;
        for await (const { id, data } of readServerSentEvents(answer.body)) if (receive(id, data)) ended = true;
      } else if (answer.status !== BROKER_AWAY) {
        complaints.push(`cursor ${last ?? 'none'} was answered ${answer.status}`);
      }
    } catch {
      // A broken connection, by us or by a fault: that is what this is about.
    }
    // An abort only ends the pause early.
    if (!ended) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
  return { name: `sse ${taskId}`, taskId, connections, seqs, complaints };
}
