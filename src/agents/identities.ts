import type { Logger } from 'pino';
import { v4 as uuidv4 } from 'uuid';
import {
  IDENTITY_RECORDS,
  type IdentityRecord,
  type IdentitiesQuery,
  type Identity,
  type IdentityRequest,
  type IdentityUpdate,
} from '../../contracts/agents/identities.js';
import { FORMAT_VERSION } from '../../contracts/wire/names.js';
import type { OwnedKey } from '../../contracts/wire/record-kind.js';
import type { Broker } from '../broker/connect.js';
import { Records, REMOVE, type Versioned } from '../broker/records.js';
import { defined } from '../defined.js';
import { defaultAppearance, defaultName, defaultTraits, DEFAULT_ROLE } from '../prompts/identity-defaults.js';
import { ApiError, expectRevision, withApiErrors } from '../errors/api-error.js';
import { PAGE_ITEMS, type Page } from '../../contracts/wire/page.js';
import { listedOwner, type Principal } from '../access/principal.js';
import { createdWithin, keyBefore, pageWith } from '../lists/page.js';

/** The identities of agents, per owner. */
export class Identities {
  readonly #records: Records<typeof IdentityRecord, OwnedKey>;
  readonly #clock: Broker['clock'];

  constructor(broker: Broker, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new Records(broker, IDENTITY_RECORDS, log);
  }

  /** Absent fields get defaults from the role. @param uuid its default uuid. @throws {ApiError} identity_exists */
  async create(request: IdentityRequest, principal: Principal, uuid?: string): Promise<Identity> {
    const { agent_id: agentId } = request;
    const key = [principal.owner, agentId] as const;
    const record = newIdentity(
      { ...defined({ identity_uuid: uuid }), ...request },
      principal.owner,
      new Date(this.#clock.now()),
    );
    const revision = await withApiErrors(() => this.#records.create(key, record));
    if (revision !== undefined) return toIdentity({ record, revision });
    const existing = await this.get(agentId, principal);
    // An earlier try of this request created it, and died before its answer.
    if (request.identity_uuid === undefined && existing.identity_uuid === uuid) return existing;
    throw new ApiError('identity_exists', `The agent ${agentId} already has an identity`);
  }

  /** @throws {ApiError} not_found */
  async get(agentId: string, { owner }: Principal): Promise<Identity> {
    const { record, revision } = await withApiErrors(() => this.#records.entry([owner, agentId]));
    if (record === undefined) throw unknown(agentId);
    return toIdentity({ record, revision });
  }

  /** @throws {ApiError} not_found, revision_mismatch */
  async update(
    agentId: string,
    { revision: expected, ...update }: IdentityUpdate,
    { owner }: Principal,
  ): Promise<Identity> {
    const { record, revision } = await withApiErrors(() =>
      this.#records.update([owner, agentId], ({ record: current, revision }) => {
        if (current === undefined) throw unknown(agentId);
        expectRevision(expected, revision);
        return updated(current, update, new Date(this.#clock.now()));
      }),
    );
    if (record === undefined) throw unknown(agentId);
    return toIdentity({ record, revision });
  }

  /** @throws {ApiError} not_found, revision_mismatch */
  async remove(agentId: string, { owner }: Principal, expected?: number): Promise<void> {
    await withApiErrors(() =>
      this.#records.update([owner, agentId], ({ exists, revision }) => {
        if (!exists) throw unknown(agentId);
        expectRevision(expected, revision);
        return REMOVE;
      }),
    );
  }

  /** Sorted by agent_id. @throws {ApiError} */
  async page(query: IdentitiesQuery, principal: Principal): Promise<Page<Identity>> {
    const { limit = PAGE_ITEMS, cursor } = query;
    const owner = listedOwner(principal, query.owner ?? principal.owner) ?? principal.owner;
    const { entries, next } = await withApiErrors(() =>
      this.#records.page([owner], {
        limit,
        after: keyBefore('identities', cursor),
        fits: ({ created_at: created }) => createdWithin(created, query),
      }),
    );
    return pageWith('identities', entries.map(toIdentity), next);
  }

  /** Deletes all identities of an owner. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge([owner]);
  }
}

/** Pure: the record of a new identity. */
export function newIdentity(request: IdentityRequest, owner: string, now: Date): IdentityRecord {
  const { agent_id: agentId, role, display_name: name, personality_traits: traits, appearance } = request;
  return {
    v: FORMAT_VERSION,
    identity_uuid: request.identity_uuid ?? uuidv4(),
    agent_id: agentId,
    owner,
    display_name: name ?? defaultName(agentId, role),
    role: role ?? DEFAULT_ROLE,
    personality_traits: traits === undefined || traits.length === 0 ? defaultTraits(role) : traits,
    appearance: appearance ?? defaultAppearance(role),
    created_at: request.created_at ?? now.toISOString(),
    last_active: now.toISOString(),
    conversation_count: 0,
    sessions: [],
    preferences: { communication_style: 'professional', verbosity: 'moderate', formality: 'balanced' },
    stats: { messages_sent: 0, conversations_participated: 0, tasks_completed: 0, tools_used: [] },
  };
}

/** Pure: merges an update into a record; nested objects are merged field by field. */
export const updated = (
  record: IdentityRecord,
  { appearance, preferences, stats, ...rest }: IdentityUpdate,
  now: Date,
): IdentityRecord => ({
  ...record,
  ...rest,
  appearance: { ...record.appearance, ...appearance },
  preferences: { ...record.preferences, ...preferences },
  stats: { ...record.stats, ...stats },
  last_active: now.toISOString(),
});

function toIdentity({
  record: { v: _version, ...identity },
  revision,
}: Pick<Versioned<IdentityRecord>, 'record' | 'revision'>): Identity {
  return { ...identity, revision };
}

const unknown = (agentId: string): ApiError =>
  new ApiError('not_found', `There is no identity of the agent ${agentId}`);
