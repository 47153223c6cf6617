import type { Profile, ProfilePage, ProfileView } from '../../../contracts/agents/profiles.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** What agents can be made of. */
export class Profiles {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Yours, and those that are files, by name. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<ProfilePage> {
    return listing(this.#transport, 'profiles', query, options);
  }

  /** @throws {KsiError} `not_found` */
  get(name: string, options: CallOptions = {}): Promise<ProfileView> {
    return this.#transport.call('profile', { name }, options);
  }

  /** Keeps one of yours, in the place of what you kept under this name and of a file of it. */
  set(name: string, profile: Profile, options: CallOptions = {}): Promise<ProfileView> {
    return this.#transport.call('profile_set', { name, ...profile }, options);
  }

  /** One of yours; a file of its name is in force again. @throws {KsiError} `not_found` */
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return this.#transport.call('profile_delete', { name }, options);
  }
}
