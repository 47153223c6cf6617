import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];
type Environment = Readonly<Record<string, string | undefined>>;

/** Styles text if the stream and environment allow colours. */
export const paint = (format: Format, text: string, stream: NodeJS.WriteStream): string =>
  wantsColour(stream.isTTY, process.env) ? styleText(format, text, { validateStream: false }) : text;

/**
 * Follows the usual conventions: FORCE_COLOR decides (0: no colours), then NO_COLOR disables, then CLICOLOR_FORCE enables. By default, colours
 * are used on a terminal that supports them.
 */
export function wantsColour(isTerminal: boolean, env: Environment): boolean {
  const { FORCE_COLOR: force, NO_COLOR: none, CLICOLOR_FORCE: always, CLICOLOR: usual, TERM: terminal } = env;
  if (force !== undefined) return !['0', 'false'].includes(force);
  if (none !== undefined && none !== '') return false;
  if (always !== undefined && always !== '' && always !== '0') return true;
  return isTerminal && usual !== '0' && terminal !== 'dumb';
}
