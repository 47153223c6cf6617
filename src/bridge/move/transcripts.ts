import { join, relative, sep } from 'node:path';
import { v5 as uuidv5 } from 'uuid';
import { SESSION_NAMESPACE } from '../../../contracts/wire/names.js';
import type { SessionExport, TranscriptEntry } from '../../../contracts/sessions/sessions.js';
import { namesIn, readJsonLines } from './json-file.js';

/** Claude's own transcripts: `<folder>/projects/<project>/<session>.jsonl`, or a folder with some of that below it. */
export class ClaudeTranscripts {
  readonly #folder: string;
  #files: Promise<ReadonlyMap<string, string>> | undefined;

  /** @param folder Claude's (`~/.claude`), one of its projects, or any with such files. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns undefined when there is none. @throws {Error} it can't be read. */
  async read(sessionId: string): Promise<Omit<SessionExport, 'session_id'> | undefined> {
    const file = (await this.#all()).get(sessionId);
    if (file === undefined) return undefined;
    const { entries } = await readJsonLines(file);
    const kept = entries.filter(isEntry);
    if (kept.length === 0) return undefined;
    const subagents = await this.#subagents(file.slice(0, -ENDING.length));
    return {
      format: 'ksi-session',
      v: 1,
      entries: kept,
      ...(Object.keys(subagents).length === 0 ? {} : { subagents }),
    };
  }

  /** By session. Claude's folder is looked through once. */
  #all(): Promise<ReadonlyMap<string, string>> {
    this.#files ??= this.#find();
    return this.#files;
  }

  async #find(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const look = async (folder: string, deeper: number): Promise<void> => {
      for (const name of await namesIn(folder)) {
        const path = join(folder, name);
        if (name.endsWith(ENDING)) found.set(name.slice(0, -ENDING.length), path);
        else if (deeper > 0) await look(path, deeper - 1);
      }
    };
    const projects = join(this.#folder, 'projects');
    if ((await namesIn(projects)).length > 0) await look(projects, 1);
    else await look(this.#folder, 1);
    return found;
  }

  /** What lies below `<session>/`, by its path without the ending, as Claude names it. */
  async #subagents(folder: string): Promise<NonNullable<SessionExport['subagents']>> {
    const parts: NonNullable<SessionExport['subagents']> = {};
    const look = async (at: string, deeper: number): Promise<void> => {
      for (const name of await namesIn(at)) {
        const path = join(at, name);
        if (name.endsWith(ENDING)) {
          const key = relative(folder, path).slice(0, -ENDING.length).split(sep).join('/');
          parts[key] = (await readJsonLines(path)).entries.filter(isEntry);
        } else if (deeper > 0) await look(path, deeper - 1);
      }
    };
    await look(folder, DEEPEST);
    return parts;
  }
}

const ENDING = '.jsonl';
/** Folders below a session's that are looked into: links may lead round and round. */
const DEEPEST = 8;
const isEntry = (entry: Record<string, unknown>): entry is Record<string, unknown> & TranscriptEntry =>
  typeof entry['type'] === 'string';

/** A line of `claude_logs/<session>.jsonl`. */
type LogLine = Readonly<Record<string, unknown>>;

/**
 * A transcript of what a session log holds: what was said, and none of what tools did. For sessions whose own transcript is gone.
 * The same log makes the same transcript.
 */
export function transcriptOfLog(sessionId: string, log: readonly LogLine[]): TranscriptEntry[] {
  const entries: TranscriptEntry[] = [];
  let parentUuid: string | null = null;
  for (const [at, line] of log.entries()) {
    const said = sayingOf(line);
    if (said === undefined) continue;
    const uuid = uuidv5(`${sessionId}/${at}`, SESSION_NAMESPACE);
    const timestamp = typeof line['timestamp'] === 'string' ? line['timestamp'] : new Date(0).toISOString();
    entries.push({
      parentUuid,
      isSidechain: false,
      userType: 'external',
      cwd: '/',
      sessionId,
      version: '1.0.0',
      ...(said.by === 'human' ? human(said.text) : assistant(said.text, uuid)),
      uuid,
      timestamp,
    });
    parentUuid = uuid;
  }
  return entries;
}

function sayingOf(line: LogLine): { by: 'human' | 'claude'; text: string } | undefined {
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

/** The lines of a session log that a transcript comes to: what a person said, and Claude's last word on it. */
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

/** Nothing for what tools said. */
function textOf(entry: TranscriptEntry): string {
  const { content } = (entry['message'] ?? {}) as { content?: unknown };
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return (content as { type?: unknown; text?: unknown }[])
    .filter(({ type, text }) => type === 'text' && typeof text === 'string')
    .map(({ text }) => text as string)
    .join('\n');
}
