import { createInterface } from 'node:readline/promises';
import { CliError, EXIT } from './exit.js';

interface Terminal {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** There is a person who can be asked. */
export const isTerminal = ({ input, output }: Terminal): boolean => input.isTTY === true && output.isTTY === true;

/** Asks a person; anything but yes, Ctrl-C and the end of the input too, is no. */
export async function confirmed(question: string, { input, output }: Terminal): Promise<boolean> {
  const lines = createInterface({ input, output });
  const closed = new AbortController();
  lines.once('close', () => closed.abort());
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal: closed.signal })).trim());
  } catch (error) {
    if (closed.signal.aborted) return false;
    throw error;
  } finally {
    lines.close();
  }
}

interface Agreement {
  /** `--yes` */
  readonly yes?: true;
  /** `--no-input` */
  readonly noInput?: true;
}

const onTerminal = (): Terminal => ({ input: process.stdin, output: process.stderr });
const mayAsk = ({ noInput }: Agreement): boolean => noInput !== true && isTerminal(onTerminal());

/** Before what was not named is done. @throws {CliError} when nobody can be asked, and `--yes` isn't given. */
export function mustBeAskable(what: string, agreement: Agreement): void {
  if (agreement.yes !== true && !mayAsk(agreement))
    throw new CliError(`Nobody can be asked here whether to delete ${what}: give --yes.`, EXIT.usage);
}

/** Whether it may be deleted: by `--yes`, or a person says so. Where nobody can be asked, naming it was enough. */
export async function agreed(what: string, agreement: Agreement): Promise<boolean> {
  if (agreement.yes === true || !mayAsk(agreement)) return true;
  if (await confirmed(`Delete ${what} for good?`, onTerminal())) return true;
  process.stderr.write('Nothing was deleted.\n');
  return false;
}
