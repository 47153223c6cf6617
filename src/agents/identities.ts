import type { Logger } from 'pino';
import { v4 as uuidv4 } from 'uuid';
import {
  IdentityRecord,
  type IdentitiesQuery,
  type Identity,
  type IdentityPage,
  type IdentityRequest,
  type IdentityUpdate,
} from '../../contracts/agents/identities.js';
import { BUCKET, FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../broker/connect.js';
import { defaultAppearance, defaultName, defaultTraits, DEFAULT_ROLE } from '../prompts/identity-defaults.js';
import { ApiError, guarded } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';
import { changing, OwnedRecords } from '../access/owned-records.js';

const DEFAULT_LIMIT = 100;

/** Who the agents of an owner are to people. */
export class Identities {
  readonly #records: OwnedRecords<typeof IdentityRecord>;
  readonly #clock: Broker['clock'];

  constructor(broker: Broker, log: Logger) {
    this.#clock = broker.clock;
    this.#records = new OwnedRecords({
      broker,
      bucket: BUCKET.identities,
      subject: SUBJECT.identity,
      schema: IdentityRecord,
      log,
    });
  }

  /** What is not said goes by the role. @throws {ApiError} identity_exists */
  async create(request: IdentityRequest, { owner }: Principal): Promise<Identity> {
    const { agent_id: agentId } = request;
    const record = newIdentity(request, owner, new Date(this.#clock.now()));
    return guarded(async () => {
      const { held, revision } = await this.#records.entry(owner, agentId);
      if (held !== undefined) throw exists(agentId);
      if ((await this.#records.put(owner, agentId, record, revision)) === undefined) throw exists(agentId);
      return shownOf(record);
    });
  }

  /** @throws {ApiError} not_found */
  async get(agentId: string, { owner }: Principal): Promise<Identity> {
    const held = await guarded(() => this.#records.find(owner, agentId));
    if (held === undefined) throw unknown(agentId);
    return shownOf(held.record);
  }

  /** @throws {ApiError} not_found */
  async update(agentId: string, update: IdentityUpdate, { owner }: Principal): Promise<Identity> {
    return guarded(() =>
      changing(async () => {
        const held = await this.#records.find(owner, agentId);
        if (held === undefined) throw unknown(agentId);
        const next = updated(held.record, update, new Date(this.#clock.now()));
        const revision = await this.#records.put(owner, agentId, next, held.revision);
        return revision === undefined ? undefined : shownOf(next);
      }),
    );
  }

  /** @throws {ApiError} not_found */
  async remove(agentId: string, { owner }: Principal): Promise<void> {
    await guarded(() =>
      changing(async () => {
        const { isThere, revision } = await this.#records.standing(owner, agentId);
        if (!isThere) throw unknown(agentId);
        return this.#records.remove(owner, agentId, revision);
      }),
    );
  }

  /** By agent_id. @throws {ApiError} */
  async page({ limit = DEFAULT_LIMIT, cursor }: IdentitiesQuery, { owner }: Principal): Promise<IdentityPage> {
    const { entries, next } = await guarded(() => this.#records.page(owner, { limit, after: cursor }));
    return {
      identities: entries.map(({ record }) => shownOf(record)),
      ...(next === undefined ? {} : { next_cursor: next }),
    };
  }

  /** Deletes all that are an owner's. @throws {BrokerError} */
  purge(owner: string): Promise<void> {
    return this.#records.purge(owner);
  }
}

/** Pure. */
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

/** Pure. */
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

function shownOf({ v: _version, ...identity }: IdentityRecord): Identity {
  return identity;
}

const exists = (agentId: string): ApiError => new ApiError('identity_exists', `${agentId} has an identity`);
const unknown = (agentId: string): ApiError => new ApiError('not_found', `${agentId} has no identity`);
