import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { check } from '../../../contracts/wire/check.js';
import type { ProfileView } from '../../../contracts/agents/profiles.js';
import { SessionExport } from '../../../contracts/sessions/sessions.js';
import type { KsiApi } from '../../client/api.js';
import type { Transport } from '../../client/transport.js';
import { defined } from '../../defined.js';
import { legacyAgentId } from '../agent-ids.js';
import type { WorkDir } from '../files/work-dir.js';
import { legacyIdentity } from '../identity.js';
import { listing } from '../../client/listing.js';
import type { MovedItem, MoveOptions } from './item.js';
import { filesBelow } from './json-file.js';
import { putFile } from './put-file.js';
import { logOfTranscript } from './transcripts.js';

export interface ExportOptions extends MoveOptions {
  /** Whether to replace existing files that differ. */
  readonly overwrite: boolean;
  /** Claude's configuration folder, which gets the transcripts. */
  readonly claudeDir: string;
  /** KSI's folder of prompts, if known. */
  readonly prompts: string | undefined;
}

interface Source {
  readonly ksi: Transport;
  readonly client: KsiApi;
}

/** Writes the data of the token's owner in the old daemon's format, for a return to it. */
export async function* exportWorkDir(source: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  yield* exportProfiles(source, dir, options);
  yield* exportIdentities(source, dir, options);
  yield* exportShared(source, dir, options);
  yield* exportAgents(source, dir, options);
  yield* exportPrompts(source, dir, options);
  yield* exportSessions(source, dir, options);
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** A file in the old daemon's format. */
export interface OldFile {
  readonly name: string;
  readonly path: string;
  readonly content: string;
}

/** The profiles, without those of KSI's library. */
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

function oldProfile({ description, role, capabilities = [], composition, options = {} }: ProfileView): object {
  const { model, append_system_prompt, system_prompt, allowed_tools } = options;
  const prompt = [system_prompt, append_system_prompt].filter((part) => part !== undefined).join('\n\n');
  return defined({
    description,
    model: model ?? 'sonnet',
    role: role ?? 'general',
    capabilities,
    system_prompt: prompt === '' ? undefined : prompt,
    composition,
    enable_tools: allowed_tools === undefined || allowed_tools.length > 0,
    allowed_tools,
  });
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

/** The old daemon uses a key as a file name. */
const FILE_NAME = /^[^/\0]{1,200}$/;

async function* exportShared({ ksi }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  const all = listing(ksi, 'shared_list', { limit: 500 });
  for await (const { key } of all) {
    if (!FILE_NAME.test(key) || key === 'identities') {
      yield { kind: 'shared', name: key, outcome: 'left', note: 'The old daemon cannot store a key of this name.' };
      continue;
    }
    const { value, updated_at } = await ksi.call('shared_get', { key });
    const placed = await putFile(join(dir.sharedState, `${key}.json`), json({ value, updated_at }), options);
    yield { kind: 'shared', name: key, ...placed };
  }
}

/** Writes a file for LOAD_STATE, because the old daemon kept agents only in memory. */
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

/** The operator's compositions, without those of KSI's library. */
export async function compositionFiles(ksi: Transport, dir: WorkDir): Promise<OldFile[]> {
  const files: OldFile[] = [];
  for await (const { name, origin } of listing(ksi, 'compositions', { limit: 500 })) {
    if (origin !== 'own') continue;
    const { origin: _origin, ...composition } = await ksi.call('composition', { name });
    files.push({ name, path: join(dir.prompts, 'compositions', `${name}.yaml`), content: stringify(composition) });
  }
  return files;
}

/** Writes compositions, and copies the files of components. */
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
        note: 'To copy components, set --prompts to the folder that KSI_PROMPTS names.',
      };
    return;
  }
  for (const name of await filesBelow(join(options.prompts, 'components'))) {
    const content = await readFile(join(options.prompts, 'components', name));
    yield { kind: 'component', name, ...(await putFile(join(dir.prompts, 'components', name), content, options)) };
  }
}

async function* exportSessions({ client }: Source, dir: WorkDir, options: ExportOptions): AsyncGenerator<MovedItem> {
  for await (const { session_id: id } of client.sessions.list({ limit: 500 })) {
    const session = await client.sessions.export(id);
    // Names in the answer become file names.
    if (!check(SessionExport, session).ok) {
      yield { kind: 'session', name: id, outcome: 'failed', note: "KSI's answer is not a valid session export." };
      continue;
    }
    yield { kind: 'session', name: id, ...(await exportSession(id, session, dir, options)) };
    const log = logOfTranscript(id, session.entries);
    if (log.length === 0) continue;
    const placed = await putFile(join(dir.logs, `${id}.jsonl`), linesOf(log), { ...options, overwrite: false });
    yield { kind: 'log', name: `${id}.jsonl`, ...placed };
  }
}

/** Writes the transcript to where Claude looks for it when it works in the old daemon's folder. */
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
