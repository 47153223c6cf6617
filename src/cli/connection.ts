import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { KsiClientOptions } from '../client/client.js';
import { folderId } from '../process/folder-id.js';
import type { Endpoints } from '../cluster/endpoints.js';
import { ifExistsSync } from '../if-exists.js';
import { isRecord, parseText } from '../json.js';
import { currentContext } from './contexts.js';
import { CliError, EXIT } from './exit.js';

export interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
  /** KSI_DIR of a cluster of this machine. */
  readonly dir?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A value, and what says so. */
export interface Found {
  readonly value: string;
  readonly from: string;
}

export interface Located {
  readonly url?: Found | undefined;
  readonly token?: Found | undefined;
  /** The folder of a cluster that was looked into; undefined: there is none here or above. */
  readonly folder?: string | undefined;
}

/**
 * Finds the cluster and the token: in the options, else in KSI_URL and KSI_TOKEN, else in the files that `ksi up` wrote to `--dir`, KSI_DIR or
 * the nearest `.ksi` from the working folder upward, else in the context in use. @throws {CliError} when a file cannot be read.
 */
export function locate(options: ConnectionOptions, env: Environment, cwd: string): Located {
  const url = found(options.url, '--url') ?? found(env['KSI_URL'], 'KSI_URL');
  const token = found(options.token, '--token') ?? found(env['KSI_TOKEN'], 'KSI_TOKEN');
  if (url !== undefined && token !== undefined) return { url, token };
  const near = options.dir === undefined ? findFolder(env, cwd) : resolve(cwd, options.dir);
  const context = near === undefined && url === undefined ? currentContext(env) : undefined;
  const folder = near ?? (context !== undefined && 'dir' in context ? context.dir : undefined);
  if (context !== undefined && 'url' in context) {
    const from = `the context ${context.name}`;
    return { url: found(context.url, from), token: token ?? found(context.token, from) };
  }
  if (folder === undefined) return { url, token };
  const file = join(folder, 'endpoints.json');
  const known = endpointsIn(folder, file);
  const tokenFile = known?.token_file ?? join(folder, 'token');
  return {
    folder,
    url: url ?? found(known?.url, file),
    token: token ?? found(read(tokenFile), tokenFile),
  };
}

/** The same, for a client. @throws {CliError} when one of them is not to be found. */
export function findConnection(options: ConnectionOptions, env: Environment, cwd: string): KsiClientOptions {
  const { url, token, folder } = locate(options, env, cwd);
  if (url === undefined) {
    const where =
      folder === undefined
        ? 'There is no .ksi folder here or above, and no context is in use'
        : `No cluster runs in ${folder}`;
    throw new CliError(
      `${where}. Start one with \`ksi up\`, name one with --dir or \`ksi context use\`, or set KSI_URL and KSI_TOKEN.`,
    );
  }
  if (token === undefined) throw new CliError('There is no token. Set KSI_TOKEN, or give --token.', EXIT.auth);
  checkAddress(url);
  checkToken(token);
  return { url: url.value, token: token.value };
}

/** @throws {CliError} that names the fault and the source of the address, but never a password in it */
function checkAddress({ value, from }: Found): void {
  const refuse = (why: string): never => {
    throw new CliError(`The address in ${from} ${why}.`, EXIT.usage);
  };
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && (url.username !== '' || url.password !== ''))
    refuse('contains a user or a password. Remove them, and set KSI_TOKEN to your token');
  if (!/^https?:\/\//i.test(value))
    refuse(
      value.includes('://') || value.includes('@')
        ? 'must begin with http:// or https://'
        : `has no scheme. Write http://${value}, or https:// with TLS`,
    );
  if (url === undefined) refuse('is not a URL, such as http://127.0.0.1:8000');
}

/** @throws {CliError} */
function checkToken({ value, from }: Found): void {
  if (/^[\x21-\x7e]+$/.test(value)) return;
  const fault = /\s/.test(value) ? 'a space or a line break' : 'a character that no token has';
  throw new CliError(`The token in ${from} contains ${fault}. Copy it again.`, EXIT.auth);
}

/** @returns undefined when no cluster runs there: those that a copied folder brought along are of the original's. */
function endpointsIn(folder: string, file: string): Endpoints | undefined {
  const text = read(file);
  if (text === undefined) return undefined;
  const endpoints = parseText(text) as Endpoints | undefined;
  if (!isRecord(endpoints))
    throw new CliError(
      `${file} is damaged. Run \`ksi down\`, then \`ksi up\`: it writes the file again.`,
      EXIT.failure,
    );
  return endpoints.folder === folderId(folder) ? endpoints : undefined;
}

function found(text: string | undefined, from: string): Found | undefined {
  const value = present(text?.trim());
  return value === undefined ? undefined : { value, from };
}

const present = (text: string | undefined): string | undefined =>
  text === undefined || text === '' ? undefined : text;

/** What makes a folder a cluster's: the first while it runs, the second always. */
const FILES = ['endpoints.json', 'token'];

function findFolder(env: Environment, cwd: string): string | undefined {
  const named = present(env['KSI_DIR']);
  if (named !== undefined) return resolve(cwd, named);
  for (let at = resolve(cwd); ; at = dirname(at)) {
    const folder = join(at, '.ksi');
    if (FILES.some((name) => ifExistsSync(() => statSync(join(folder, name))) !== undefined)) return folder;
    if (dirname(at) === at) return undefined;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
