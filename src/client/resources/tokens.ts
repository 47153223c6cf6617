import type { TokenCreated, TokenPage, TokenRequest, TokensQuery } from '../../../contracts/access/tokens.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Tokens. All methods need the scope `admin`. */
export class Tokens extends Resource {
  /** Creates a token. Only this answer contains the secret, which KSI does not store. */
  create(request: TokenRequest, options: CallOptions = {}): Promise<TokenCreated> {
    return this.transport.call('token_create', request, options);
  }

  /** Lists tokens, without their secrets. */
  list(query: TokensQuery = {}, options: CallOptions = {}): Listing<TokenPage> {
    return listing(this.transport, 'tokens', query, options);
  }

  /** Revokes a token and closes the connections that use it. @throws {KsiError} `not_found` */
  revoke(id: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('token_revoke', { id }, options);
  }
}
