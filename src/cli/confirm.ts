import { createInterface } from 'node:readline/promises';

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
