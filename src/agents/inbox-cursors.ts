import type { Logger } from 'pino';
import { INBOX_CURSORS, type InboxCursorRecord } from '../../contracts/agents/messages.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { Records } from '../broker/records.js';

/** An inbox cursor before and after a move. */
export interface InboxCursor {
  readonly before: number;
  readonly now: number;
}

/** The inbox cursors: the last acknowledged sequence of each agent. A cursor never moves back. */
export class InboxCursors {
  readonly #records: Records<typeof InboxCursorRecord, IdKey>;

  constructor(broker: Broker, log: Logger) {
    this.#records = new Records(broker, INBOX_CURSORS, log);
  }

  /** 0: nothing is acknowledged. @throws {BrokerError} */
  async of(agentId: string): Promise<number> {
    return (await this.#records.get([agentId]))?.seq ?? 0;
  }

  /** Replaces an unreadable record. @returns a later cursor than `seq` if the cursor was there already. @throws {BrokerError} */
  async move(agentId: string, seq: number): Promise<InboxCursor> {
    let before = 0;
    await this.#records.update([agentId], ({ readable }) => {
      before = readable?.seq ?? 0;
      return before >= seq ? undefined : { v: FORMAT_VERSION, seq };
    });
    return { before, now: Math.max(before, seq) };
  }

  /** For `removeAt`. @throws {BrokerError} */
  async revisionOf(agentId: string): Promise<number> {
    return (await this.#records.entry([agentId])).revision;
  }

  /** Deletes the cursor unless it has moved since `revision`. @throws {BrokerError} */
  async removeAt(agentId: string, revision: number): Promise<void> {
    if (revision > 0) await this.#records.removeAt([agentId], revision);
  }

  /** @throws {BrokerError} */
  async remove(agentId: string): Promise<void> {
    await this.#records.remove([agentId]);
  }
}
