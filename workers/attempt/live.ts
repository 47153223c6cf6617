import { textOfMessage } from '../../contracts/tasks/claude.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { SpawnDelta } from '../../contracts/events/events.js';
import type { Broker } from '../../src/broker/connect.js';
import type { Redaction } from '../claude/redaction.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import { timestampOf } from '../../src/clock.js';

/** Claude writes a few characters at a time. Text within this time is sent as one delta. */
const COALESCE_MS = 30;

/** Publishes an attempt's partial text as Claude writes it. Nothing is stored. */
export class LiveText {
  readonly #broker: Broker;
  readonly #identity: TaskIdentity;
  readonly #attempt: number;
  readonly #redaction: Redaction;
  #text = '';
  #part = 0;
  #offset = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: Broker, identity: TaskIdentity, attempt: number, redaction: Redaction) {
    this.#broker = broker;
    this.#identity = identity;
    this.#attempt = attempt;
    this.#redaction = redaction;
  }

  add(text: string): void {
    this.#text += text;
    this.#timer ??= setTimeout(() => this.flush(), COALESCE_MS);
  }

  /** Sends the pending text before the complete message with the same text. */
  complete(message: unknown): void {
    this.flush(true);
    if (textOfMessage(message) === undefined) return;
    this.#part += 1;
    this.#offset = 0;
  }

  /** Sends the pending text. @param all also sends an end of the text that could be the start of a credential. */
  flush(all = false): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const clean = this.#redaction.in(this.#text);
    const end = all ? clean.length : clean.length - this.#redaction.openEnd(clean);
    const text = clean.slice(0, end);
    const offset = this.#offset;
    this.#text = clean.slice(end);
    this.#offset += text.length;
    // Readers may miss deltas, so none are kept while the broker is unavailable.
    if (text === '' || !this.#broker.connected()) return;
    const { task_id, session_id, owner } = this.#identity;
    const delta: SpawnDelta = {
      v: FORMAT_VERSION,
      type: 'SPAWN_DELTA',
      timestamp: timestampOf(this.#broker.clock),
      data: { task_id, session_id, owner, attempt: this.#attempt, part: this.#part, offset, text },
    };
    this.#broker.nc.publish(SUBJECT.live(task_id), JSON.stringify(delta));
  }

  /** Sends nothing more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#text = '';
  }
}
