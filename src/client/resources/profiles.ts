import type { Profile, ProfilePage, ProfileView } from '../../../contracts/agents/profiles.js';
import type { PageQuery } from '../../../contracts/wire/page.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Profiles, from which agents can be created. */
export class Profiles extends Resource {
  /** Lists your profiles and the profiles in files, by name. */
  list(query: PageQuery = {}, options: CallOptions = {}): Listing<ProfilePage> {
    return listing(this.transport, 'profiles', query, options);
  }

  /** Gets a profile. @throws {KsiError} `not_found` */
  get(name: string, options: CallOptions = {}): Promise<ProfileView> {
    return this.transport.call('profile', { name }, options);
  }

  /** Stores a profile. Replaces your profile of this name, and takes precedence over a file of the same name. */
  set(name: string, profile: Profile, options: CallOptions = {}): Promise<ProfileView> {
    return this.transport.call('profile_set', { name, ...profile }, options);
  }

  /** Deletes one of your profiles. A file of the same name applies again. @throws {KsiError} `not_found` */
  delete(name: string, options: CallOptions = {}): Promise<void> {
    return this.transport.call('profile_delete', { name }, options);
  }
}
