import { join } from 'node:path';
import { UUID_PATTERN } from '../../../contracts/wire/names.js';
import type { KsiApi } from '../../client/api.js';
import { KsiError } from '../../client/errors.js';
import { unlessMissing } from '../errors.js';
import type { WorkDir } from '../files/work-dir.js';
import type { MovedItem, MoveOptions } from './item.js';
import { namesIn, readJsonLines } from './json-file.js';
import { transcriptOfLog, type ClaudeTranscripts, type ReadSession } from './transcripts.js';

const SESSION_LOG = new RegExp(`^(${UUID_PATTERN.slice(1, -1)})\\.jsonl$`);
/** The latest log is imported under its session's id; `leftOver` reports the log of the message bus. */
const SKIPPED = new Set(['latest.jsonl', 'message_bus.jsonl']);

/** Imports the sessions that the old daemon logged, each with Claude's transcript. If that is gone, the log becomes the transcript. */
export async function* importSessions(
  client: KsiApi,
  dir: WorkDir,
  transcripts: ClaudeTranscripts,
  options: MoveOptions,
): AsyncGenerator<MovedItem> {
  for (const file of await namesIn(dir.logs)) {
    const [, id] = SESSION_LOG.exec(file) ?? [];
    if (id === undefined) {
      if (!SKIPPED.has(file))
        yield { kind: 'log', name: file, outcome: 'left', note: 'It is not the log of a session.' };
      continue;
    }
    try {
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
  const { broken, ...session } = own ?? (await sessionFromLog(dir, id));
  if (session.entries.length === 0)
    return { ...item, outcome: 'left', note: 'Its log is empty and Claude has no transcript of it.' };
  const notes = [
    ...(own === undefined ? ["Imported from its log, without tool use, because Claude's transcript is gone."] : []),
    ...(broken === 0 ? [] : [`Without ${broken} damaged ${broken === 1 ? 'line' : 'lines'}.`]),
  ];
  const note = notes.length === 0 ? {} : { note: notes.join(' ') };
  if ((await unlessMissing(client.sessions.get(id))) !== undefined) return { ...item, outcome: 'there' };
  if (dryRun) return { ...item, outcome: 'brought', ...note };
  try {
    await client.sessions.import({ ...session, session_id: id });
    return { ...item, outcome: 'brought', ...note };
  } catch (error) {
    if (error instanceof KsiError && error.code === 'session_exists')
      return { ...item, outcome: 'failed', note: 'Another owner has a session with this id.' };
    if (error instanceof KsiError && error.status === 413)
      return {
        ...item,
        outcome: 'failed',
        note: 'It is larger than KSI_MAX_BODY_BYTES. Start KSI with a higher limit, and import again.',
      };
    throw error;
  }
}

async function sessionFromLog(dir: WorkDir, id: string): Promise<ReadSession> {
  const { entries, broken } = await readJsonLines(join(dir.logs, `${id}.jsonl`));
  return { format: 'ksi-session', v: 1, entries: transcriptOfLog(id, entries), broken };
}
