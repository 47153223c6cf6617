import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { UUID_PATTERN } from '../../../contracts/wire/names.js';
import type { SessionExport } from '../../../contracts/sessions/sessions.js';
import type { KsiApi } from '../../client/api.js';
import { KsiError } from '../../client/errors.js';
import type { WorkDir } from '../files/work-dir.js';
import type { MovedItem, MoveOptions } from './item.js';
import { namesIn, readJsonLines } from './json-file.js';
import { transcriptOfLog, type ClaudeTranscripts } from './transcripts.js';

const SESSION_LOG = new RegExp(`^(${UUID_PATTERN.slice(1, -1)})\\.jsonl$`);
/** What is named elsewhere, or is no session. */
const PASSED_OVER = new Set(['latest.jsonl', 'message_bus.jsonl']);

/**
 * The sessions that the old daemon logged, each with Claude's own transcript, or what its log holds where that is gone: its id
 * can be resumed then.
 */
export async function* importSessions(
  client: KsiApi,
  dir: WorkDir,
  transcripts: ClaudeTranscripts,
  options: MoveOptions,
): AsyncGenerator<MovedItem> {
  for (const file of await namesIn(dir.logs)) {
    const [, id] = SESSION_LOG.exec(file) ?? [];
    if (id === undefined) {
      if (!PASSED_OVER.has(file))
        yield { kind: 'log', name: file, outcome: 'left', note: 'It is no log of a session.' };
      continue;
    }
    try {
      if ((await lstat(join(dir.logs, file))).isFile())
        yield await importSession(client, dir, transcripts, { ...options, id });
    } catch (error) {
      yield { kind: 'session', name: id, outcome: 'failed', note: (error as Error).message };
    }
  }
}

async function importSession(
  client: KsiApi,
  dir: WorkDir,
  transcripts: ClaudeTranscripts,
  { id, dryRun }: MoveOptions & { readonly id: string },
): Promise<MovedItem> {
  const item = { kind: 'session', name: id } as const;
  const own = await transcripts.read(id);
  const session = own ?? (await ofLog(dir, id));
  if (session.entries.length === 0)
    return { ...item, outcome: 'left', note: 'Neither its log nor Claude has anything of it.' };
  const note = own === undefined ? { note: "Of its log, as Claude's transcript is gone: without what tools did." } : {};
  if (await isThere(client, id)) return { ...item, outcome: 'there' };
  if (dryRun) return { ...item, outcome: 'brought', ...note };
  try {
    await client.sessions.import({ ...session, session_id: id });
    return { ...item, outcome: 'brought', ...note };
  } catch (error) {
    if (error instanceof KsiError && error.code === 'session_exists')
      return { ...item, outcome: 'failed', note: 'Somebody else has a session of this id.' };
    if (error instanceof KsiError && error.status === 413)
      return {
        ...item,
        outcome: 'failed',
        note: 'It is larger than KSI_MAX_BODY_BYTES: start KSI with more, and import again.',
      };
    throw error;
  }
}

async function ofLog(dir: WorkDir, id: string): Promise<Omit<SessionExport, 'session_id'>> {
  const { entries } = await readJsonLines(join(dir.logs, `${id}.jsonl`));
  return { format: 'ksi-session', v: 1, entries: transcriptOfLog(id, entries) };
}

async function isThere(client: KsiApi, id: string): Promise<boolean> {
  try {
    await client.sessions.get(id);
    return true;
  } catch (error) {
    if (error instanceof KsiError && error.code === 'session_not_found') return false;
    throw error;
  }
}
