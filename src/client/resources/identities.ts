import type {
  IdentitiesQuery,
  Identity,
  IdentityPage,
  IdentityRequest,
  IdentityUpdate,
} from '../../../contracts/agents/identities.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Who your agents are to people. */
export class Identities {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** What is not said goes by the role. @throws {KsiError} `identity_exists` */
  create(request: IdentityRequest, options: CallOptions = {}): Promise<Identity> {
    return this.#transport.call('identity_create', request, options);
  }

  /** @throws {KsiError} `not_found` */
  get(agentId: string, options: CallOptions = {}): Promise<Identity> {
    return this.#transport.call('identity', { agent_id: agentId }, options);
  }

  /** By agent_id. */
  list(query: IdentitiesQuery = {}, options: CallOptions = {}): Listing<IdentityPage> {
    return listing(this.#transport, 'identities', query, options);
  }

  /** What is given replaces what was. @throws {KsiError} `not_found` */
  update(agentId: string, update: IdentityUpdate, options: CallOptions = {}): Promise<Identity> {
    return this.#transport.call('identity_update', { agent_id: agentId, ...update }, options);
  }

  /** @throws {KsiError} `not_found` */
  remove(agentId: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('identity_remove', { agent_id: agentId }, options);
  }
}
