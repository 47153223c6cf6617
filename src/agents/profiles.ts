import type { Logger } from 'pino';
import { keyToken } from '../../contracts/wire/key-token.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import type { OwnedKey } from '../../contracts/wire/record-kind.js';
import {
  PROFILE_RECORDS,
  type Profile,
  type ProfilePage,
  type ProfileRecord,
  type ProfileView,
} from '../../contracts/agents/profiles.js';
import type { Broker } from '../broker/connect.js';
import { Records, REMOVE, type Versioned } from '../broker/records.js';
import type { Found, PromptLibrary } from '../prompts/library.js';
import { ApiError, expectRevision, withApiErrors } from '../errors/api-error.js';
import type { PageQuery } from '../../contracts/wire/page.js';
import type { Principal } from '../access/principal.js';
import { pageOfAll } from '../lists/page.js';
import { timestampOf } from '../clock.js';

/** Profiles: the files, for all owners, and each owner's own, stored at the broker. An own profile hides a file of the same name. */
export class Profiles {
  readonly #records: Records<typeof ProfileRecord, OwnedKey>;
  readonly #clock: Broker['clock'];
  readonly #library: Pick<PromptLibrary, 'profiles'>;

  constructor(broker: Broker, library: Pick<PromptLibrary, 'profiles'>, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new Records(broker, PROFILE_RECORDS, log);
    this.#library = library;
  }

  /** Sorted by name. @throws {ApiError} */
  async page(query: PageQuery, { owner }: Principal): Promise<ProfilePage> {
    const views = new Map<string, ProfileView>();
    const broken: ProfilePage['broken'] = [];
    for (const found of (await this.#library.profiles()).values()) {
      if ('problem' in found) broken.push({ name: found.name, problem: found.problem });
      else views.set(found.name, ofFile(found));
    }
    for (const held of await withApiErrors(() => this.#records.all([owner]))) views.set(held.record.name, ofApi(held));
    return { ...pageOfAll('profiles', [...views.values()], ({ name }) => name, query), broken };
  }

  /** @throws {ApiError} not_found */
  async get(name: string, principal: Principal): Promise<ProfileView> {
    const found = await this.find(name, principal);
    if (found === undefined) throw unknown(name);
    return found;
  }

  /** @throws {ApiError} */
  async find(name: string, { owner }: Principal): Promise<ProfileView | undefined> {
    const { record, revision } = await withApiErrors(() => this.#records.entry([owner, keyToken(name)]));
    if (record !== undefined) return ofApi({ record, revision });
    const file = (await this.#library.profiles()).get(name);
    return file === undefined || 'problem' in file ? undefined : ofFile(file);
  }

  /** Creates or replaces the owner's profile of this name. It hides a file of the name. @throws {ApiError} revision_mismatch */
  async set(name: string, profile: Profile, { owner }: Principal, expected?: number): Promise<ProfileView> {
    const record = { v: FORMAT_VERSION, name, owner, profile, updated_at: timestampOf(this.#clock) };
    const { revision } = await withApiErrors(() =>
      this.#records.update([owner, keyToken(name)], ({ exists, revision }) => {
        expectRevision(expected, exists ? revision : 0);
        return record;
      }),
    );
    return ofApi({ record, revision });
  }

  /** A file of the same name then applies again. @throws {ApiError} not_found, revision_mismatch */
  async delete(name: string, { owner }: Principal, expected?: number): Promise<void> {
    await withApiErrors(() =>
      this.#records.update([owner, keyToken(name)], ({ exists, revision }) => {
        if (!exists) throw unknown(name);
        expectRevision(expected, revision);
        return REMOVE;
      }),
    );
  }

  /** Deletes all profiles of an owner. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge([owner]);
  }
}

const ofFile = ({ name, origin, value }: Extract<Found<Profile>, { value: Profile }>): ProfileView => ({
  name,
  ...value,
  origin,
});

const ofApi = ({
  record: { name, profile, updated_at },
  revision,
}: Pick<Versioned<ProfileRecord>, 'record' | 'revision'>): ProfileView => ({
  name,
  ...profile,
  origin: 'api',
  revision,
  updated_at,
});

const unknown = (name: string): ApiError => new ApiError('not_found', `There is no profile ${name}`);
