import type { KsiClient } from '../client/client.js';
import { clientOf } from './client.js';
import type { ValueKind } from './command.js';
import type { ConnectionOptions } from './connection.js';
import { CliError, EXIT } from './exit.js';
import { isPrefix, LAST } from './ids.js';

/** Kinds of values that are ids. */
type IdKind = Exclude<ValueKind, 'files' | 'queues'>;

interface Known {
  readonly id: string;
  /** Another identifier, which is accepted as it is. */
  readonly name?: string | undefined;
}

/** More are not searched: the prefix might be ambiguous. */
const MAX_SEARCHED = 10_000;
const MAX_SHOWN = 10;

const COMMANDS: Readonly<Record<IdKind, string>> = {
  tasks: 'ksi tasks',
  'open tasks': 'ksi tasks',
  sessions: 'ksi sessions',
  approvals: 'ksi approvals',
  dead: 'ksi dead',
  conversations: 'ksi conversations',
};

/**
 * Resolves a unique prefix of an id, or `last`, to the id. Returns other text unchanged.
 * @throws {CliError} if no id, or several ids, begin with the prefix
 */
export async function resolveId(
  kind: ValueKind | undefined,
  text: string,
  options: ConnectionOptions,
): Promise<string> {
  if (kind === undefined || kind === 'files' || kind === 'queues') return text;
  if (text !== LAST && !isPrefix(text)) return text;
  await using client = clientOf(options);
  const prefix = text.replace(/…$/, '');
  const found: string[] = [];
  let searched = 0;
  for await (const { id, name } of knownIds(kind, client)) {
    if (name === text) return text;
    if (text === LAST) found.push(id);
    else if (id.startsWith(prefix)) found.push(id);
    // The lists begin with the newest. A session may have the name `last`, so all its names are read.
    if (text === LAST && kind !== 'sessions') break;
    searched += 1;
    if (searched > MAX_SEARCHED)
      throw new CliError(`There are too many ${kind} to search. Give the whole id.`, EXIT.usage);
  }
  const [only, another] = found;
  if (only !== undefined && (another === undefined || text === LAST)) return only;
  // A session's name may look like a prefix, and the command may accept other ids too.
  if (only === undefined && kind === 'sessions' && text !== LAST) return text;
  throw new CliError(only === undefined ? noneOf(kind, text) : ambiguous(kind, text, found), EXIT.usage);
}

const noneOf = (kind: IdKind, text: string): string =>
  text === LAST ? `There are no ${kind}.` : `None of the ${kind} begins with ${text}. See: ${COMMANDS[kind]}`;

function ambiguous(kind: IdKind, text: string, found: readonly string[]): string {
  const more = found.length > MAX_SHOWN ? [`and ${found.length - MAX_SHOWN} more`] : [];
  return [`${found.length} ${kind} begin with ${text}:`, ...found.slice(0, MAX_SHOWN), ...more].join('\n  ');
}

async function* knownIds(kind: IdKind, client: KsiClient): AsyncGenerator<Known> {
  const page = { limit: 500 };
  switch (kind) {
    case 'tasks':
    case 'open tasks':
      for await (const { task_id: id } of client.tasks.list(page)) yield { id };
      return;
    case 'sessions':
      for await (const { session_id: id, session_name: name } of client.sessions.list(page)) yield { id, name };
      return;
    case 'approvals':
      for await (const { approval_id: id } of client.approvals.list(page)) yield { id };
      return;
    case 'dead':
      for await (const { task_id: id } of client.dead.list(page)) yield { id };
      return;
    case 'conversations':
      for await (const { conversation_id: id } of client.conversations.list(page)) yield { id };
  }
}
