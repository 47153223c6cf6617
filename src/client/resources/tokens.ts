import type { TokenCreated, TokenPage, TokenRequest, TokensQuery } from '../../../contracts/access/tokens.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Who may use the cluster. Scope `admin`. */
export class Tokens {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Makes one, which the answer holds and nothing else ever will. */
  create(request: TokenRequest, options: CallOptions = {}): Promise<TokenCreated> {
    return this.#transport.call('token_create', request, options);
  }

  /** Without their secrets. */
  list(query: TokensQuery = {}, options: CallOptions = {}): Listing<TokenPage> {
    return listing(this.#transport, 'tokens', query, options);
  }

  /** Lets nobody in with it any more, and ends its open connections. @throws {KsiError} `not_found` */
  revoke(id: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('token_revoke', { id }, options);
  }
}
