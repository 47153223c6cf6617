import { nearest } from '../words.js';

/** Commands of the chat itself. */
export const CHAT_COMMANDS = [
  { name: 'new', argument: '[NAME]', what: 'start another session' },
  { name: 'session', argument: '[NAME]', what: 'show the session, or switch to one by name or UUID' },
  { name: 'cost', argument: '', what: 'show the usage of the session' },
  { name: 'help', argument: '', what: 'show this list' },
  { name: 'exit', argument: '', what: 'leave; Claude finishes its current turn' },
] as const;

type Name = (typeof CHAT_COMMANDS)[number]['name'];

/** A parsed line: a prompt, a command, or an unknown command. */
export type Entry =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'command'; readonly name: Name; readonly argument: string }
  | { readonly kind: 'unknown'; readonly name: string; readonly near: string | undefined };

const NAMES = CHAT_COMMANDS.map(({ name }) => name);

/** Parses a line. A command is a slash and one word of letters, so `/etc/hosts` is a prompt. */
export function parseEntry(line: string): Entry {
  const [, name, argument = ''] = /^\/([a-z]+)(?:[ \t]+(.*))?$/.exec(line.trim()) ?? [];
  if (name === undefined) return { kind: 'say', text: line };
  const canonical = name === 'quit' ? 'exit' : name;
  const known = NAMES.find((each) => each === canonical);
  if (known === undefined) return { kind: 'unknown', name, near: nearest(name, NAMES) };
  return { kind: 'command', name: known, argument: argument.trim() };
}

export const CHAT_HELP = [
  ...CHAT_COMMANDS.map(({ name, argument, what }) => `  ${`/${name} ${argument}`.padEnd(16)} ${what}`),
  '',
  '  @FILE            attach a file; write `@@` or `\\@` for a literal @',
  '  \\ and Enter      continue on the next line; pasted text may have several lines',
  '  Ctrl-C           interrupt Claude; press it twice to leave',
  '  Text that you enter while Claude works is sent to it at once.',
].join('\n');
