import type { Logger } from 'pino';
import { FORMAT_VERSION } from '../../../contracts/wire/names.js';
import type { IdKey } from '../../../contracts/wire/record-kind.js';
import {
  TICKET_PATTERN,
  TICKET_RECORDS,
  TICKET_S,
  type TicketCreated,
  type TicketRecord,
} from '../../../contracts/access/tokens.js';
import type { Broker } from '../../broker/connect.js';
import { Records } from '../../broker/records.js';
import { withApiErrors } from '../../errors/api-error.js';
import type { Principal } from '../principal.js';
import type { RecordMac } from './record-mac.js';
import { hashOf, randomSecret } from './secret.js';

const FORM = new RegExp(TICKET_PATTERN);

/** Single-use tickets, valid at every API. Their hashes are in `ksi_tickets`; a compare-and-set redeems a ticket. */
export class Tickets {
  readonly #broker: Broker;
  readonly #records: Records<typeof TicketRecord, IdKey>;

  constructor(broker: Broker, mac: RecordMac, log: Logger) {
    this.#broker = broker;
    this.#records = new Records(broker, TICKET_RECORDS, log, mac);
  }

  /** @throws {ApiError} */
  async create({ tokenId }: Principal, now = this.#broker.clock.now()): Promise<TicketCreated> {
    const ticket = randomSecret();
    const expires = now + TICKET_S * 1_000;
    await withApiErrors(() => this.#records.put([hashOf(ticket)], { v: FORMAT_VERSION, token_id: tokenId, expires }));
    return { ticket, expires_at: new Date(expires).toISOString() };
  }

  /** @returns the id of the token that created the ticket; undefined: the ticket is unknown, used or expired. @throws {ApiError} */
  async redeem(ticket: string, now = this.#broker.clock.now()): Promise<string | undefined> {
    if (!FORM.test(ticket)) return undefined;
    const key = [hashOf(ticket)] as const;
    return withApiErrors(async () => {
      const { exists, revision, readable } = await this.#records.entry(key);
      // If the deletion fails, another request has redeemed the ticket.
      if (!exists || (await this.#records.removeAt(key, revision)) === undefined) return undefined;
      return readable !== undefined && now < readable.expires ? readable.token_id : undefined;
    });
  }
}
