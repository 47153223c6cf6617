import { nearest } from '../words.js';

/** What can be said to the chat itself, with what the help says of it. */
export const CHAT_COMMANDS = [
  { name: 'new', argument: '[NAME]', what: 'begin another session' },
  { name: 'session', argument: '[NAME]', what: 'which session this is; with a name or UUID, go to that one' },
  { name: 'cost', argument: '', what: 'what the session took' },
  { name: 'help', argument: '', what: 'this list' },
  { name: 'exit', argument: '', what: 'leave; Claude goes on with what it is at' },
] as const;

type Name = (typeof CHAT_COMMANDS)[number]['name'];

/** A line that was entered: words for Claude, a command, or one that there is not. */
export type Entry =
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'command'; readonly name: Name; readonly argument: string }
  | { readonly kind: 'unknown'; readonly name: string; readonly near: string | undefined };

const NAMES = CHAT_COMMANDS.map(({ name }) => name);

/** A command is a slash and one word of letters: `/etc/hosts` is none. */
export function parseEntry(line: string): Entry {
  const [, name, argument = ''] = /^\/([a-z]+)(?:[ \t]+(.*))?$/.exec(line.trim()) ?? [];
  if (name === undefined) return { kind: 'say', text: line };
  const asked = name === 'quit' ? 'exit' : name;
  const known = NAMES.find((each) => each === asked);
  if (known === undefined) return { kind: 'unknown', name, near: nearest(name, NAMES) };
  return { kind: 'command', name: known, argument: argument.trim() };
}

export const CHAT_HELP = [
  ...CHAT_COMMANDS.map(({ name, argument, what }) => `  ${`/${name} ${argument}`.padEnd(16)} ${what}`),
  '',
  '  @FILE            attaches a file; `@@` or `\\@` is an @',
  '  \\ and Enter      goes on in the next line; so does what is pasted',
  '  Ctrl-C           interrupts Claude; twice: leaves',
  '  While Claude works, what you type is said to it at once.',
].join('\n');
