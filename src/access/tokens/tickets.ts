import { FORMAT_VERSION, SUBJECT, BUCKET } from '../../../contracts/wire/names.js';
import { TICKET_PATTERN, TICKET_S, type TicketCreated } from '../../../contracts/access/tokens.js';
import type { Broker } from '../../broker/connect.js';
import { isBrokerError } from '../../broker/errors.js';
import { lastBySubject } from '../../broker/read.js';
import { apiErrorOf } from '../../errors/api-error.js';
import type { Principal } from '../principal.js';
import type { Seal } from './seal.js';
import { hashOf, randomSecret } from './secret.js';

const FORM = new RegExp(TICKET_PATTERN);

/** Tickets for one connection each, good at every API: kept by their hash in `ksi_tickets`, taken by compare-and-set. */
export class Tickets {
  readonly #broker: Broker;
  readonly #seal: Seal;

  constructor(broker: Broker, seal: Seal) {
    this.#broker = broker;
    this.#seal = seal;
  }

  /** @throws {ApiError} */
  async create({ tokenId }: Principal, now = this.#broker.clock.now()): Promise<TicketCreated> {
    const ticket = randomSecret();
    const expires = now + TICKET_S * 1_000;
    const subject = SUBJECT.ticket(hashOf(ticket));
    const payload = this.#seal.close(subject, { v: FORMAT_VERSION, token_id: tokenId, expires } satisfies Entry);
    try {
      await this.#broker.publisher.publish({ subject, payload });
    } catch (error) {
      throw apiErrorOf(error);
    }
    return { ticket, expires_at: new Date(expires).toISOString() };
  }

  /** Uses a ticket up. @returns the id of the token that it was made with; undefined: it is none, used or too old. @throws {ApiError} */
  async redeem(ticket: string, now = this.#broker.clock.now()): Promise<string | undefined> {
    if (!FORM.test(ticket)) return undefined;
    const subject = SUBJECT.ticket(hashOf(ticket));
    try {
      const stored = await lastBySubject(this.#broker, `KV_${BUCKET.tickets}`, subject);
      if (stored === undefined || stored.data.length === 0) return undefined;
      const expect = { filter: subject, seq: stored.seq };
      await this.#broker.publisher.publish({ subject, payload: '', headers: { 'KV-Operation': 'DEL' }, expect });
      const entry = this.#seal.open(subject, stored.data) as Entry | undefined;
      return entry !== undefined && now < entry.expires ? entry.token_id : undefined;
    } catch (error) {
      // Somebody else has used it in between.
      if (isBrokerError(error, 'conflict')) return undefined;
      throw apiErrorOf(error);
    }
  }
}

interface Entry {
  readonly v: number;
  readonly token_id: string;
  readonly expires: number;
}
