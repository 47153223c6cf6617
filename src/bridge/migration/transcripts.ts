import { basename, join, relative, sep } from 'node:path';
import { v5 as uuidv5 } from 'uuid';
import { SESSION_NAMESPACE } from '../../../contracts/wire/names.js';
import type { SessionExport, TranscriptEntry } from '../../../contracts/sessions/sessions.js';
import { namesIn, readJsonLines } from './json-file.js';

/** A session, and how many lines of its files are damaged. */
export type ReadSession = Omit<SessionExport, 'session_id'> & { readonly broken: number };
type Subagents = NonNullable<SessionExport['subagents']>;

/** Finds Claude's transcripts, `<folder>/projects/<project>/<session>.jsonl`. */
export class ClaudeTranscripts {
  readonly #folder: string;
  #files: Promise<ReadonlyMap<string, string>> | undefined;

  /** @param folder Claude's configuration folder (`~/.claude`), the folder of a project, or one of such folders */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns undefined if there is no transcript or it has no entries @throws {Error} if the file cannot be read */
  async read(sessionId: string): Promise<ReadSession | undefined> {
    const file = (await this.#all()).get(sessionId);
    if (file === undefined) return undefined;
    const { entries, broken } = await readJsonLines(file);
    const kept = entries.filter(isEntry);
    if (kept.length === 0) return undefined;
    const { subagents, broken: brokenParts } = await this.#subagents(file.slice(0, -ENDING.length));
    return {
      format: 'ksi-session',
      v: 1,
      entries: kept,
      broken: broken + brokenParts,
      ...(Object.keys(subagents).length === 0 ? {} : { subagents }),
    };
  }

  /** Paths by session. Searches the folder once. */
  #all(): Promise<ReadonlyMap<string, string>> {
    this.#files ??= this.#find();
    return this.#files;
  }

  async #find(): Promise<ReadonlyMap<string, string>> {
    const projects = join(this.#folder, 'projects');
    const root = (await namesIn(projects)).length > 0 ? projects : this.#folder;
    const found = new Map<string, string>();
    for await (const path of transcriptsBelow(root, 1)) found.set(basename(path, ENDING), path);
    return found;
  }

  /** The transcripts below `<session>/`, by relative path without the ending, as Claude names them. */
  async #subagents(folder: string): Promise<{ subagents: Subagents; broken: number }> {
    const subagents: Subagents = {};
    let broken = 0;
    for await (const path of transcriptsBelow(folder, DEEPEST)) {
      const key = relative(folder, path).slice(0, -ENDING.length).split(sep).join('/');
      const read = await readJsonLines(path);
      subagents[key] = read.entries.filter(isEntry);
      broken += read.broken;
    }
    return { subagents, broken };
  }
}

const ENDING = '.jsonl';
/** Symbolic links may form a cycle. */
const DEEPEST = 8;

/** The paths of all transcripts in a folder, and in its subfolders down to `depth`. */
async function* transcriptsBelow(folder: string, depth: number): AsyncGenerator<string> {
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (name.endsWith(ENDING)) yield path;
    else if (depth > 0) yield* transcriptsBelow(path, depth - 1);
  }
}

const isEntry = (entry: Record<string, unknown>): entry is Record<string, unknown> & TranscriptEntry =>
  typeof entry['type'] === 'string';

/** A line of `claude_logs/<session>.jsonl`. */
type LogLine = Readonly<Record<string, unknown>>;

/**
 * Creates a transcript from a session log, for sessions whose transcript is gone. It has the texts but no tool use. The same log always gives
 * the same transcript.
 */
export function transcriptOfLog(sessionId: string, log: readonly LogLine[]): TranscriptEntry[] {
  const entries: TranscriptEntry[] = [];
  let parentUuid: string | null = null;
  for (const [at, line] of log.entries()) {
    const entry = entryOf(line);
    if (entry === undefined) continue;
    const uuid = uuidv5(`${sessionId}/${at}`, SESSION_NAMESPACE);
    const timestamp = typeof line['timestamp'] === 'string' ? line['timestamp'] : new Date(0).toISOString();
    entries.push({
      parentUuid,
      isSidechain: false,
      userType: 'external',
      cwd: '/',
      sessionId,
      version: '1.0.0',
      ...(entry.by === 'human' ? human(entry.text) : assistant(entry.text, uuid)),
      uuid,
      timestamp,
    });
    parentUuid = uuid;
  }
  return entries;
}

function entryOf(line: LogLine): { by: 'human' | 'claude'; text: string } | undefined {
  const { type, content, result } = line;
  if (type === 'human' && typeof content === 'string' && content !== '') return { by: 'human', text: content };
  if (type === 'claude' && typeof result === 'string' && result !== '') return { by: 'claude', text: result };
  return undefined;
}

const human = (text: string) => ({ type: 'user', message: { role: 'user', content: text } });

const assistant = (text: string, uuid: string) => ({
  type: 'assistant',
  message: {
    id: `msg_${uuid.replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model: '<synthetic>',
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0 },
  },
});

/** Creates a session log from a transcript: each prompt, and Claude's last text before the next. */
export function logOfTranscript(sessionId: string, entries: readonly TranscriptEntry[]): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  let answer: Record<string, unknown> | undefined;
  for (const entry of entries) {
    if (entry['isSidechain'] === true || entry['isMeta'] === true) continue;
    const text = textOf(entry);
    if (text === '') continue;
    if (entry.type === 'user') {
      if (answer !== undefined) lines.push(answer);
      answer = undefined;
      lines.push({ timestamp: entry.timestamp, type: 'human', content: text });
    } else if (entry.type === 'assistant') {
      answer = { timestamp: entry.timestamp, type: 'claude', result: text, session_id: sessionId };
    }
  }
  if (answer !== undefined) lines.push(answer);
  return lines;
}

/** The text of an entry. @returns '' if it has none, as for the results of tools */
function textOf(entry: TranscriptEntry): string {
  const { content } = (entry['message'] ?? {}) as { content?: unknown };
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { type?: unknown; text?: unknown }[])
    .filter(({ type, text }) => type === 'text' && typeof text === 'string')
    .map(({ text }) => text as string)
    .join('\n');
}
