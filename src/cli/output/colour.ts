import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];
type Environment = Readonly<Record<string, string | undefined>>;

/** Coloured where colours are wanted. */
export const paint = (format: Format, text: string, stream: NodeJS.WriteStream): string =>
  wantsColour(stream.isTTY, process.env) ? styleText(format, text, { validateStream: false }) : text;

/**
 * As is usual: FORCE_COLOR says it (0: none), else NO_COLOR that there are none, else CLICOLOR_FORCE that there are; else a terminal that knows
 * colours has them.
 */
export function wantsColour(isTerminal: boolean, env: Environment): boolean {
  const { FORCE_COLOR: force, NO_COLOR: none, CLICOLOR_FORCE: always, CLICOLOR: usual, TERM: terminal } = env;
  if (force !== undefined) return !['0', 'false'].includes(force);
  if (none !== undefined && none !== '') return false;
  if (always !== undefined && always !== '' && always !== '0') return true;
  return isTerminal && usual !== '0' && terminal !== 'dumb';
}
