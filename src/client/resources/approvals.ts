import type { Approval, ApprovalAnswer, ApprovalList, ApprovalResolved } from '../../../contracts/approvals.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** What Claude wants to be allowed, in tasks that were spawned with `approvals: true`. */
export class Approvals {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those that are open now, those asked first first. */
  list(options: CallOptions = {}): Listing<ApprovalList, Approval> {
    return listing({
      read: () => this.#transport.call('approvals', {}, options),
      items: ({ approvals }) => approvals,
    });
  }

  /** Allows or refuses one; the first answer holds. @throws {KsiError} `already_answered` */
  answer(id: string, answer: ApprovalAnswer, options: CallOptions = {}): Promise<ApprovalResolved> {
    return this.#transport.call('approve', { id, ...answer }, options);
  }
}
