import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { check } from '../../../contracts/wire/check.js';
import type { ProfileShown } from '../../../contracts/agents/profiles.js';
import { SessionExport } from '../../../contracts/sessions/sessions.js';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import { legacyAgentId } from '../agent-ids.js';
import type { WorkDir } from '../files/work-dir.js';
import { legacyIdentity } from '../identity.js';
import { listing } from '../../client/listing.js';
import type { MovedItem, MoveOptions } from './item.js';
import { filesBelow } from './json-file.js';
import { putFile } from './put-file.js';
import { logOfTranscript } from './transcripts.js';

export interface ExportOptions extends MoveOptions {
  /** Whether files that are there and differ are replaced. */
  readonly overwrite: boolean;
  /** Where Claude's transcripts go: its folder when the old daemon runs again. */
  readonly claudeDir: string;
  /** KSI's own folder of prompts, if it is known. */
  readonly prompts: string | undefined;
}

interface Source {
  readonly ksi: Transport;
  readonly client: KsiApi;
}

/** Writes what KSI keeps of the token's owner in the old daemon's form, for the way back. */
export async function* exportWorkDir(source: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  yield* exportProfiles(source, dir, options);
  yield* exportIdentities(source, dir, options);
  yield* exportShared(source, dir, options);
  yield* exportAgents(source, dir, options);
  yield* exportPrompts(source, dir, options);
  yield* exportSessions(source, dir, options);
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** A file of KSI's in the old form. */
export interface OldFile {
  readonly name: string;
  readonly path: string;
  readonly content: string;
}

/** Those that come with KSI are none of the old daemon's. */
export async function profileFiles(ksi: Transport, dir: WorkDir): Promise<OldFile[]> {
  const profiles = await listing(ksi, 'profiles', { limit: 500 }).all();
  return profiles
    .filter(({ origin }) => origin !== 'library')
    .map((profile) => ({
      name: profile.name,
      path: join(dir.profiles, `${profile.name}.json`),
      content: json(oldProfile(profile)),
    }));
}

async function* exportProfiles({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  for (const { name, path, content } of await profileFiles(ksi, dir))
    yield { kind: 'profile', name, ...(await putFile(path, content, options)) };
}

function oldProfile({ description, role, capabilities = [], composition, options = {} }: ProfileShown): object {
  const { model, append_system_prompt, system_prompt, allowed_tools } = options;
  const prompt = [system_prompt, append_system_prompt].filter((part) => part !== undefined).join('\n\n');
  return {
    ...(description === undefined ? {} : { description }),
    model: model ?? 'sonnet',
    role: role ?? 'general',
    capabilities,
    ...(prompt === '' ? {} : { system_prompt: prompt }),
    ...(composition === undefined ? {} : { composition }),
    enable_tools: allowed_tools === undefined || allowed_tools.length > 0,
    ...(allowed_tools === undefined ? {} : { allowed_tools }),
  };
}

async function* exportIdentities({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  const identities: Record<string, object> = {};
  const all = listing(ksi, 'identities', { limit: 500 });
  for await (const identity of all) identities[legacyAgentId(identity.agent_id)] = legacyIdentity(identity);
  const count = Object.keys(identities).length;
  if (count === 0) return;
  const placed = await putFile(join(dir.sharedState, 'identities.json'), json(identities), options);
  yield { kind: 'identity', name: `identities.json (${count})`, ...placed };
}

/** What the old daemon takes for a path below its folder. */
const FILE_NAME = /^[^/\0]{1,200}$/;

async function* exportShared({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  const all = listing(ksi, 'shared_list', { limit: 500 });
  for await (const { key } of all) {
    if (!FILE_NAME.test(key) || key === 'identities') {
      yield { kind: 'shared', name: key, outcome: 'left', note: 'The old daemon could not keep a key of this name.' };
      continue;
    }
    const { value, updated_at } = await ksi.call('shared_get', { key });
    const placed = await putFile(join(dir.sharedState, `${key}.json`), json({ value, updated_at }), options);
    yield { kind: 'shared', name: key, ...placed };
  }
}

/** For LOAD_STATE: the old daemon kept agents in memory alone. */
async function* exportAgents({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  const agents: Record<string, object> = {};
  const all = listing(ksi, 'agents', { limit: 500 });
  for await (const { agent_id: id, role, capabilities, status, created_at, session_id } of all)
    agents[legacyAgentId(id)] = {
      role,
      capabilities,
      status,
      created_at,
      sessions: session_id === undefined ? [] : [session_id],
    };
  const count = Object.keys(agents).length;
  if (count === 0) return;
  const placed = await putFile(
    join(dir.root, 'ksi_state.json'),
    json({ sessions: {}, shared_state: {}, agents }),
    options,
  );
  yield { kind: 'agent', name: `ksi_state.json (${count})`, ...placed };
}

/** The operator's, as KSI reads them. */
export async function compositionFiles(ksi: Transport, dir: WorkDir): Promise<OldFile[]> {
  const files: OldFile[] = [];
  for await (const { name, origin } of listing(ksi, 'compositions', { limit: 500 })) {
    if (origin !== 'own') continue;
    const { origin: _origin, ...composition } = await ksi.call('composition', { name });
    files.push({ name, path: join(dir.prompts, 'compositions', `${name}.yaml`), content: stringify(composition) });
  }
  return files;
}

/** Components are files, which are copied from where KSI has them. */
async function* exportPrompts({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  const own = await compositionFiles(ksi, dir);
  for (const { name, path, content } of own)
    yield { kind: 'composition', name, ...(await putFile(path, content, options)) };
  if (options.prompts === undefined) {
    if (own.length > 0)
      yield {
        kind: 'component',
        name: 'components/',
        outcome: 'left',
        note: 'Give --prompts, the folder that KSI_PROMPTS names, and they are copied.',
      };
    return;
  }
  for (const name of await filesBelow(join(options.prompts, 'components'))) {
    const content = await readFile(join(options.prompts, 'components', name));
    yield { kind: 'component', name, ...(await putFile(join(dir.prompts, 'components', name), content, options)) };
  }
}

/** Those that have had tasks, and those that were only imported. */
async function* exportSessions({ client }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  for await (const { session_id: id } of client.sessions.list({ limit: 500 })) {
    const session = await client.sessions.export(id);
    // Names in it become names of files.
    if (!check(SessionExport, session).ok) {
      yield { kind: 'session', name: id, outcome: 'failed', note: 'It is not in the form of an exported session.' };
      continue;
    }
    yield { kind: 'session', name: id, ...(await exportSession(id, session, dir, options)) };
    const log = logOfTranscript(id, session.entries);
    if (log.length === 0) continue;
    const placed = await putFile(join(dir.logs, `${id}.jsonl`), linesOf(log), { ...options, overwrite: false });
    yield { kind: 'log', name: `${id}.jsonl`, ...placed };
  }
}

/** Where Claude looks for it when it works in the old daemon's folder. */
async function exportSession(
  id: string,
  { entries, subagents = {} }: SessionExport,
  dir: WorkDir,
  options: ExportOptions,
): Promise<Pick<MovedItem, 'outcome' | 'note'>> {
  const project = join(options.claudeDir, 'projects', dir.root.replaceAll(/[^A-Za-z0-9]/g, '-'));
  for (const [key, part] of Object.entries(subagents)) {
    const placed = await putFile(join(project, id, `${key}.jsonl`), linesOf(part), options);
    if (placed.outcome === 'failed') return placed;
  }
  return putFile(join(project, `${id}.jsonl`), linesOf(entries), options);
}

const linesOf = (lines: readonly unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');
