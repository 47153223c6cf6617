import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { FileEntry } from '../../../contracts/sessions/files.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError } from '../../client/errors.js';
import type { Command } from '../command.js';
import { CliError, EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { printTable, type TableOf } from '../output/print.js';
import { printable } from '../output/printable.js';
import { say } from '../output/say.js';
import { timesFor, type ShowTime } from '../output/times.js';
import { sessionOf } from '../session-of.js';

interface FilesOptions extends GlobalOptions {
  readonly recursive?: boolean;
  readonly save?: string;
  readonly tar?: true;
}

/** `ksi files ID [PATH]` */
export function register(program: Command): void {
  program
    .command('files')
    .description('List the files of a run, print or save a file, or download a folder as a tar archive')
    .argument('<id>', 'the session’s UUID or name, or a task’s id')
    .argument('[path]', 'a file or folder in the working folder (default: the whole folder)')
    .option('-r, --recursive', 'also list the folders below')
    .option('--save <file>', 'write the file, or with --tar the archive, to this file')
    .option('--tar', 'print or save the folder as a tar archive')
    .withValues({ id: 'sessions', save: 'files' })
    .withExamples(
      'ksi files notes',
      'ksi files notes report.md',
      'ksi files notes --tar | tar -x -C /tmp/notes',
      'ksi files TASK dist --tar --save dist.tar',
    )
    .withNotes('A file is printed as it is. Folders are listed; `ksi diff` shows the changes in a repository.')
    .calls(files);
}

async function files(client: KsiClient, id: string, path: string | undefined, options: FilesOptions): Promise<void> {
  const session = await sessionOf(client, id, options);
  const at = path?.replace(/^(\.\/)+|\/+$/g, '');
  const below = at === undefined || at === '' || at === '.' ? {} : { path: at };
  if (options.tar === true) return write(await client.sessions.archive(session, below), options);
  const asFile = { path: at ?? '' };
  if (options.save !== undefined) {
    if (below.path === undefined) throw new CliError('Name a file to save, or add --tar.', EXIT.usage);
    return write(await client.sessions.file(session, asFile), options);
  }
  const entries = await listed(client, session, below, options);
  if (entries === undefined) return write(await client.sessions.file(session, asFile), options);
  printTable(entries, table(timesFor(options)), options);
  if (entries.length === 0 && options.output === 'text') say(options, 'The folder is empty.');
}

/** @returns undefined if the path is not a folder */
async function listed(
  client: KsiClient,
  session: string,
  below: { readonly path?: string },
  { recursive = false }: FilesOptions,
): Promise<FileEntry[] | undefined> {
  const entries: FileEntry[] = [];
  try {
    for await (const entry of client.sessions.files(session, { ...below, recursive, limit: 500 })) entries.push(entry);
  } catch (error) {
    if (below.path !== undefined && error instanceof KsiError && error.code === 'file_not_found') return undefined;
    throw error;
  }
  return entries;
}

const SIGNS = { file: '', folder: '/', link: '', other: '' } as const;

const table = (when: ShowTime): TableOf<FileEntry> => ({
  head: ['BYTES', 'MODIFIED', 'FILE'],
  row: ({ path, type, bytes, modified_at, target }) => [
    type === 'file' ? String(bytes) : '',
    when(modified_at),
    `${path}${SIGNS[type]}${target === undefined ? '' : ` -> ${target}`}`,
  ],
});

/** Prints text to the terminal without what could steer it. */
async function show(source: Readable): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of source as AsyncIterable<Uint8Array>)
    process.stdout.write(printable(decoder.decode(bytes, { stream: true })));
}

async function write(bytes: globalThis.ReadableStream<Uint8Array>, options: FilesOptions): Promise<void> {
  const source = Readable.fromWeb(bytes as ReadableStream);
  if (options.save === undefined) {
    if (options.tar === true && process.stdout.isTTY)
      throw new CliError('An archive is not for a terminal. Add --save FILE, or pipe it to `tar -x`.', EXIT.usage);
    return process.stdout.isTTY ? show(source) : pipeline(source, process.stdout, { end: false });
  }
  try {
    await pipeline(source, createWriteStream(options.save));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new CliError(`Could not write ${options.save}: ${message}`, EXIT.failure, error);
  }
  say(options, `Saved ${options.save}`);
}
