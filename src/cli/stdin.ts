import { fstatSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { CliError, EXIT } from './exit.js';

/** How long the other end of a socket may take to begin. */
const FIRST_BYTE_MS = 3_000;

/**
 * What stdin is: `data` is a pipe or a file, which somebody put there to be read; `perhaps` a socket, which ssh without a terminal and many a
 * program give to all that they start, and never end; `none` a terminal, /dev/null, or closed.
 */
export type StdinKind = 'data' | 'perhaps' | 'none';

export function kindOfStdin(fd = 0): StdinKind {
  try {
    const stat = fstatSync(fd);
    if (stat.isFIFO() || stat.isFile()) return 'data';
    return stat.isSocket() ? 'perhaps' : 'none';
  } catch {
    return 'none'; // Closed.
  }
}

export interface Piped {
  /** Told when it takes long, as nothing else would say why nothing happens. */
  readonly notice: (text: string) => void;
  /** The user passed `-`, so wait for stdin whatever it is. */
  readonly requested: boolean;
}

/** All of stdin, as text; undefined when there is none to be read. @throws {CliError} when it is not text. */
export async function readStdin(
  input: Readable & { readonly isTTY?: boolean },
  kind: StdinKind,
  { notice, requested }: Piped,
): Promise<string | undefined> {
  if (kind === 'none' && !(requested && input.isTTY === true)) return requested ? '' : undefined;
  const chunks: Buffer[] = [];
  const slow = setTimeout(() => {
    if (kind === 'perhaps' && !requested) {
      notice('nothing came on stdin within 3 s: going on without it (`-` waits for it)');
      input.destroy();
    } else if (input.isTTY !== true) notice('waiting for the end of stdin (`< /dev/null` or --no-input: without it)');
  }, FIRST_BYTE_MS);
  try {
    for await (const chunk of input as AsyncIterable<Buffer | string>) {
      clearTimeout(slow);
      chunks.push(Buffer.from(chunk));
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Destroyed by us, or a descriptor that cannot be read: as one that is not there.
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'EISDIR' && code !== 'EAGAIN') throw error;
    return undefined;
  } finally {
    clearTimeout(slow);
  }
  return textOf(Buffer.concat(chunks), 'What came on stdin');
}

/** @throws {CliError} when it is no text. */
export function textOf(data: Buffer, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch (error) {
    throw new CliError(`${what} is not text (UTF-8). Attach a file with --attach FILE.`, EXIT.usage, error);
  }
}
