import { join, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { check } from '../../../contracts/wire/check.js';
import { Appearance, IdentityUpdate, type Identity } from '../../../contracts/agents/identities.js';
import type { Profile } from '../../../contracts/agents/profiles.js';
import { KsiError, KsiUnreachableError } from '../../client/errors.js';
import type { Transport } from '../../client/transport.js';
import { ignoredFields, parseProfile } from '../../prompts/profile-file.js';
import { withTraits } from '../identity.js';
import { ksiAgentId } from '../agent-ids.js';
import { unlessMissing } from '../errors.js';
import type { WorkDir } from '../files/work-dir.js';
import type { MovedItem, MoveOptions } from './item.js';
import { isRecord } from '../../json.js';
import { namesIn, readJsonFile, textIn } from './json-file.js';
import { ifExists } from '../../if-exists.js';

const IDENTITIES = 'identities.json';
const KEPT = 'KSI has a different one, which was kept. Use --overwrite to replace it.';

export interface RecordOptions extends MoveOptions {
  /** Whether to replace existing records that differ. */
  readonly overwrite: boolean;
}

/** Imports `agent_profiles/<name>.json`. @param options.only selects files; default: all */
export async function* importProfiles(
  ksi: Transport,
  dir: WorkDir,
  options: RecordOptions & { readonly only?: (path: string) => Promise<boolean> },
): AsyncGenerator<MovedItem> {
  for (const file of (await namesIn(dir.profiles)).filter((name) => name.endsWith('.json'))) {
    const name = file.slice(0, -'.json'.length);
    if (options.only !== undefined && !(await options.only(join(dir.profiles, file)))) continue;
    yield await movedItem('profile', name, async () => {
      const text = await textIn(join(dir.profiles, file));
      const profile = parseProfile(text);
      const known = await unlessMissing(ksi.call('profile', { name }));
      const put = (): Promise<unknown> => ksi.call('profile_set', { name, ...profile });
      const placed = await place({
        known: known === undefined ? undefined : bare(known),
        wanted: profile,
        put,
        options,
      });
      return { ...without(ignoredFields(text)), ...placed };
    });
  }
}

const without = (fields: readonly string[]): Pick<MovedItem, 'note'> =>
  fields.length === 0 ? {} : { note: `Without ${fields.join(', ')}, which KSI cannot store.` };

/** A profile without KSI's own fields. */
function bare({
  name: _name,
  origin: _origin,
  revision: _revision,
  updated_at: _at,
  ...profile
}: Profile & {
  name: string;
  origin: string;
  revision?: number;
  updated_at?: string;
}): Profile {
  return profile;
}

/** Imports `shared_state/<key>.json`, each an object with `value`. */
export async function* importShared(ksi: Transport, dir: WorkDir, options: RecordOptions): AsyncGenerator<MovedItem> {
  const files = (await namesIn(dir.sharedState)).filter((name) => name.endsWith('.json') && name !== IDENTITIES);
  for (const file of files) {
    const key = file.slice(0, -'.json'.length);
    yield await movedItem('shared', key, async () => {
      const content = await readJsonFile(join(dir.sharedState, file));
      return placeShared(ksi, key, isRecord(content) && 'value' in content ? content['value'] : content, options);
    });
  }
}

async function placeShared(ksi: Transport, key: string, value: unknown, options: RecordOptions): Promise<Placed> {
  const known = await unlessMissing(ksi.call('shared_get', { key }));
  return place({
    known: known === undefined ? undefined : { value: known.value },
    wanted: { value },
    put: () => ksi.call('shared_set', { key, value }),
    options,
  });
}

/** Imports `identities.json`, an object by agent id, from either place where the old daemon kept it. */
export async function* importIdentities(
  ksi: Transport,
  dir: WorkDir,
  options: RecordOptions,
): AsyncGenerator<MovedItem> {
  for (const path of [join(dir.sharedState, IDENTITIES), join(dir.root, IDENTITIES)]) {
    const { content, failed } = await readIfThere(dir, path);
    if (failed !== undefined) yield failed;
    if (isRecord(content)) yield* importEachIdentity(ksi, content, options);
  }
}

async function* importEachIdentity(
  ksi: Transport,
  identities: Record<string, unknown>,
  options: RecordOptions,
): AsyncGenerator<MovedItem> {
  for (const [agentId, identity] of Object.entries(identities))
    yield await movedItem('identity', agentId, () =>
      placeIdentity(ksi, agentId, isRecord(identity) ? identity : {}, options),
    );
}

/** Imports an identity. If the agent has one with the same uuid, it counts as imported, even if it has changed since. */
async function placeIdentity(
  ksi: Transport,
  agentId: string,
  old: Record<string, unknown>,
  { dryRun, overwrite }: RecordOptions,
): Promise<Placed> {
  const agent_id = ksiAgentId(agentId, 'agent_id');
  const { identity_uuid: uuid, created_at: created, last_active: _active, agent_id: _id, ...rest } = withTraits(old);
  const fields = Object.fromEntries(Object.entries(rest).filter(([name]) => name in IdentityUpdate.properties));
  const unknown = Object.keys(rest).filter((name) => !(name in IdentityUpdate.properties));
  const checked = check(IdentityUpdate, fields);
  if (!checked.ok) throw new Error(checked.faults.map(({ field, message }) => `${field} ${message}`).join('; '));
  const note = without(unknown);
  const known = await unlessMissing(ksi.call('identity', { agent_id }));
  if (known !== undefined && !overwrite)
    return known.identity_uuid === uuid ? { outcome: 'there' } : { outcome: 'kept', note: KEPT };
  if (dryRun) return { outcome: 'brought', ...note };
  const update = checked.value;
  if (known === undefined)
    await ksi.call('identity_create', { agent_id, ...createdAs(uuid, created, update.appearance) });
  await ksi.call('identity_update', { agent_id, ...update });
  return { outcome: 'brought', ...note };
}

/** The old daemon wrote times in UTC without a time zone. */
function createdAs(uuid: unknown, created: unknown, appearance: IdentityUpdate['appearance']) {
  const at =
    typeof created === 'string' ? Date.parse(/[zZ]|[+-]\d\d:\d\d$/.test(created) ? created : `${created}Z`) : NaN;
  return {
    ...(typeof uuid === 'string' ? { identity_uuid: uuid.toLowerCase() } : {}),
    ...(Number.isNaN(at) ? {} : { created_at: new Date(at).toISOString() }),
    ...(check(Appearance, appearance).ok ? { appearance: appearance as Identity['appearance'] } : {}),
  };
}

/** Imports `*state*.json` of the working folder, in the format of LOAD_STATE: `{sessions, shared_state, agents}`. */
export async function* importStateFiles(
  ksi: Transport,
  dir: WorkDir,
  options: RecordOptions,
): AsyncGenerator<MovedItem> {
  for (const file of (await namesIn(dir.root)).filter((name) => /state.*\.json$/.test(name))) {
    const { content: state, failed } = await readIfThere(dir, join(dir.root, file));
    if (failed !== undefined) yield failed;
    if (!isRecord(state)) continue;
    const { shared_state: shared, agents, identities } = state;
    if (isRecord(shared))
      for (const [key, value] of Object.entries(shared))
        yield await movedItem('shared', key, () => placeShared(ksi, key, value, options));
    if (isRecord(identities)) yield* importEachIdentity(ksi, identities, options);
    if (isRecord(agents))
      for (const [id, agent] of Object.entries(agents))
        yield await movedItem('agent', id, () => placeAgent(ksi, id, isRecord(agent) ? agent : {}, options));
  }
}

async function placeAgent(
  ksi: Transport,
  legacyId: string,
  { role, capabilities }: Record<string, unknown>,
  options: RecordOptions,
): Promise<Placed> {
  const agent_id = ksiAgentId(legacyId, 'agent_id');
  const wanted = {
    ...(typeof role === 'string' && role !== '' ? { role } : {}),
    ...(Array.isArray(capabilities) ? { capabilities: capabilities.map(String) } : {}),
  };
  const known = await unlessMissing(ksi.call('agent', { id: agent_id }));
  const before = known === undefined ? undefined : { role: known.role, capabilities: known.capabilities };
  return place({
    known:
      before === undefined ? undefined : Object.fromEntries(Object.entries(before).filter(([name]) => name in wanted)),
    wanted,
    put: () => ksi.call('agent_register', { agent_id, ...wanted }),
    options,
  });
}

type Placed = Pick<MovedItem, 'outcome' | 'note'>;

async function place({
  known,
  wanted,
  put,
  options,
}: {
  known: unknown;
  wanted: unknown;
  put: () => Promise<unknown>;
  options: RecordOptions;
}): Promise<Placed> {
  if (known !== undefined && isDeepStrictEqual(known, wanted)) return { outcome: 'there' };
  if (known !== undefined && !options.overwrite) return { outcome: 'kept', note: KEPT };
  if (!options.dryRun) await put();
  return { outcome: 'brought' };
}

/** Turns a failure of one item into its outcome, so that the others continue. Throws if KSI is unavailable. */
async function movedItem(kind: MovedItem['kind'], name: string, action: () => Promise<Placed>): Promise<MovedItem> {
  try {
    return { kind, name, ...(await action()) };
  } catch (error) {
    if (error instanceof KsiError && error.status >= 500) throw error;
    if (error instanceof KsiUnreachableError || !(error instanceof Error)) throw error;
    return { kind, name, outcome: 'failed', note: error.message };
  }
}

/** Reads a file of several records. @returns the item that reports a file which cannot be read */
async function readIfThere(dir: WorkDir, path: string): Promise<{ content?: unknown; failed?: MovedItem }> {
  try {
    return { content: await ifExists(readJsonFile(path)) };
  } catch (error) {
    const name = relative(dir.root, path);
    return { failed: { kind: 'file', name, outcome: 'failed', note: (error as Error).message } };
  }
}
