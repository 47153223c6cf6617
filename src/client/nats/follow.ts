import { DeliverPolicy, type ConsumerMessages } from '@nats-io/jetstream';
import { API_ERRORS, type ApiErrorCode } from '../../../contracts/wire/errors.js';
import { STREAM } from '../../../contracts/wire/names.js';
import { onAbort } from '../../abort.js';
import { incarnationOf, settledSequence, type StreamPosition } from '../../../contracts/wire/cursor.js';
import { KsiError } from '../errors.js';
import type { EventMessage, LiveDelta } from '../event-message.js';
import { MessageQueue } from '../message-queue.js';
import type { Connected } from './connection.js';
import { envelopeOf } from './envelope.js';

interface FollowedSubjects {
  readonly subjects: readonly string[];
  readonly since: string | undefined;
  readonly signal: AbortSignal;
}

const HEARTBEAT_MS = 2_000;
const EXPIRES_MS = 30_000;

const isLive = (subject: string): boolean => subject.startsWith('ksi.live.');

/**
 * Yields events from an ordered consumer, which nats.js re-creates after a break, and deltas as they are published. Ends when `signal` aborts.
 * @throws {KsiError} `invalid_cursor`, `cursor_gone`
 */
export async function* followSubjects(
  connected: Connected,
  { subjects, since, signal }: FollowedSubjects,
): AsyncGenerator<EventMessage> {
  if (signal.aborted) return;
  const gate = new Gate();
  const queue = new MessageQueue<EventMessage>({ full: () => gate.shut(), emptied: () => gate.open() });
  const stops: (() => void)[] = [];
  stops.push(onAbort(signal, () => queue.end()));
  try {
    for (const subject of subjects.filter(isLive)) {
      const live = connected.nc.subscribe(subject, {
        callback: (error, msg) => {
          if (error === null) queue.push({ ...msg.json<Omit<LiveDelta, 'subject'>>(), subject: msg.subject });
        },
      });
      stops.push(() => live.unsubscribe());
    }
    const stored = subjects.filter((subject) => !isLive(subject));
    if (stored.length > 0) stops.push(await pump(connected, { subjects: stored, since, signal }, queue, gate));
    yield* queue.messages();
  } finally {
    for (const stop of stops) stop();
  }
}

/** Fills the queue with events. @returns a function that stops this */
async function pump(
  connected: Connected,
  { subjects, since }: FollowedSubjects,
  queue: MessageQueue<EventMessage>,
  gate: Gate,
): Promise<() => void> {
  const { incarnation, seq, firstSeq } = await positionOf(connected);
  const after = since === undefined ? seq : await sequenceOf(since, { incarnation, seq }, connected);
  if (after + 1 < firstSeq) queue.push({ op: 'gap', from: after + 1, to: firstSeq - 1 });
  const consumer = await connected.js.consumers.get(STREAM.events, {
    filter_subjects: [...subjects],
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: after + 1,
  });
  // A restarted broker has lost the consumer. Missing heartbeats make nats.js create another one.
  const messages = await consumer.consume({ expires: EXPIRES_MS, idle_heartbeat: HEARTBEAT_MS });
  const stopWatching = watchStream(connected, incarnation, queue);
  void fill(messages, incarnation, connected, queue, gate);
  return () => {
    stopWatching();
    gate.open();
    void messages.close();
  };
}

async function fill(
  messages: ConsumerMessages,
  incarnation: string,
  connected: Connected,
  queue: MessageQueue<EventMessage>,
  gate: Gate,
): Promise<void> {
  try {
    for await (const message of messages) {
      queue.push(await envelopeOf(message, incarnation, connected));
      await gate.passed();
    }
    queue.end();
  } catch (error) {
    queue.end(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Ends the queue if the stream was re-created during an outage: sequences in the new stream are smaller, so the consumer might wait forever. */
function watchStream({ nc, jsm }: Connected, incarnation: string, queue: MessageQueue<EventMessage>): () => void {
  const statuses = nc.status();
  void (async () => {
    for await (const { type } of statuses) {
      if (type !== 'reconnect') continue;
      // If this fails, the next reconnect checks again.
      const info = await jsm.streams.info(STREAM.events).catch(() => undefined);
      if (info !== undefined && incarnationOf(info.created) !== incarnation)
        queue.end(refusal('cursor_gone', 'The event stream was re-created'));
    }
  })();
  return () => (statuses as unknown as { stop(): void }).stop();
}

async function positionOf({ jsm }: Connected): Promise<StreamPosition & { firstSeq: number }> {
  const { created, state } = await jsm.streams.info(STREAM.events);
  return { incarnation: incarnationOf(created), seq: state.last_seq, firstSeq: state.first_seq };
}

async function sequenceOf(cursor: string, known: StreamPosition, connected: Connected): Promise<number> {
  const seq = await settledSequence(cursor, known, () => positionOf(connected));
  if (typeof seq === 'number') return seq;
  throw refusal(seq, `Cannot continue from the cursor \`${cursor.slice(0, 64)}\``);
}

function refusal(code: ApiErrorCode, message: string): KsiError {
  const { status, title, next } = API_ERRORS[code];
  return new KsiError(status, { type: `urn:ksi:error:${code}`, title, status, code, detail: `${message}. ${next}` });
}

/** Backpressure: `passed` waits while the gate is shut. */
class Gate {
  #open: Promise<void> | undefined;
  #release: (() => void) | undefined;

  shut(): void {
    this.#open ??= new Promise((resolve) => (this.#release = resolve));
  }

  open(): void {
    this.#release?.();
    this.#open = undefined;
  }

  async passed(): Promise<void> {
    await this.#open;
  }
}
