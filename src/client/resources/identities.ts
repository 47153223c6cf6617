import type {
  IdentitiesQuery,
  Identity,
  IdentityPage,
  IdentityRequest,
  IdentityUpdate,
} from '../../../contracts/agents/identities.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** The identities of your agents: names, roles and traits for display. */
export class Identities extends Resource {
  /** Gives an agent an identity. Absent fields get defaults that match the role. @throws {KsiError} `identity_exists` */
  create(request: IdentityRequest, options: CallOptions = {}): Promise<Identity> {
    return this.transport.call('identity_create', request, options);
  }

  /** Gets the identity of an agent. @throws {KsiError} `not_found` */
  get(agentId: string, options: CallOptions = {}): Promise<Identity> {
    return this.transport.call('identity', { agent_id: agentId }, options);
  }

  /** Lists identities by agent id. */
  list(query: IdentitiesQuery = {}, options: CallOptions = {}): Listing<IdentityPage> {
    return listing(this.transport, 'identities', query, options);
  }

  /** Changes an identity. Absent fields do not change. @throws {KsiError} `not_found` */
  update(agentId: string, update: IdentityUpdate, options: CallOptions = {}): Promise<Identity> {
    return this.transport.call('identity_update', { agent_id: agentId, ...update }, options);
  }

  /** Removes the identity of an agent. @throws {KsiError} `not_found` */
  remove(agentId: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('identity_remove', { agent_id: agentId }, options);
  }
}
