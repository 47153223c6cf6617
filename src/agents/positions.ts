import { InboxPosition } from '../../contracts/agents/messages.js';
import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { BrokerError } from '../broker/errors.js';
import { deleteEntry, putEntry, readEntry, recordIn } from '../broker/kv.js';

const STREAM = `KV_${BUCKET.inboxes}`;
const MAX_TRIES = 20;

/** Where an inbox stands now, and where it stood before it was moved. */
export interface Position {
  readonly before: number;
  readonly now: number;
}

/** Up to where each agent has taken its messages: entries of `ksi_inboxes`, changed by compare-and-set, and never back. */
export class Positions {
  readonly #broker: Broker;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** 0: it has taken none. @throws {BrokerError} */
  async of(agentId: string): Promise<number> {
    return (await this.#read(agentId)).seq;
  }

  /** @returns further on, if that was asked for earlier. @throws {BrokerError} */
  async move(agentId: string, seq: number): Promise<Position> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      const { revision, seq: before } = await this.#read(agentId);
      if (before >= seq) return { before, now: before };
      const position: InboxPosition = { v: FORMAT_VERSION, seq };
      const written = await putEntry(
        this.#broker,
        SUBJECT.inboxPosition(agentId),
        { schema: InboxPosition, record: position },
        revision,
      );
      if (written !== undefined) return { before, now: seq };
    }
    throw new BrokerError('conflict', `Too many changes of the inbox of ${agentId} at once`);
  }

  /** Of its entry, for `removeAt`. @throws {BrokerError} */
  async revisionOf(agentId: string): Promise<number> {
    return (await readEntry(this.#broker, STREAM, SUBJECT.inboxPosition(agentId))).revision;
  }

  /** Unless it was moved since. @throws {BrokerError} */
  async removeAt(agentId: string, revision: number): Promise<void> {
    if (revision > 0) await deleteEntry(this.#broker, SUBJECT.inboxPosition(agentId), revision, 1);
  }

  /** @throws {BrokerError} */
  async remove(agentId: string): Promise<void> {
    for (let tries = 1; tries <= MAX_TRIES; tries++) {
      // A bad one goes too.
      const { revision, data } = await readEntry(this.#broker, STREAM, SUBJECT.inboxPosition(agentId));
      if (data === undefined) return;
      if ((await deleteEntry(this.#broker, SUBJECT.inboxPosition(agentId), revision, 1)) !== undefined) return;
    }
    throw new BrokerError('conflict', `Too many changes of the inbox of ${agentId} at once`);
  }

  async #read(agentId: string): Promise<{ revision: number; seq: number }> {
    const { revision, data } = await readEntry(this.#broker, STREAM, SUBJECT.inboxPosition(agentId));
    if (data === undefined) return { revision, seq: 0 };
    return { revision, seq: recordIn(InboxPosition, data, SUBJECT.inboxPosition(agentId)).seq };
  }
}
