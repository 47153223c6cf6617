import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { KsiClientOptions } from '../client/client.js';
import type { Endpoints } from '../cluster/endpoints.js';
import { CliError, EXIT } from './exit.js';

export interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Where the cluster is and who we are: the options, else KSI_URL and KSI_TOKEN, else what `make up` wrote into KSI_DIR or the nearest
 * `.ksi` from the working folder upward. @throws {CliError}
 */
export function findConnection(options: ConnectionOptions, env: Environment, cwd: string): KsiClientOptions {
  const url = options.url ?? present(env['KSI_URL']);
  const token = options.token ?? present(env['KSI_TOKEN']);
  if (url !== undefined && token !== undefined) return { url, token };
  const folder = findFolder(env, cwd);
  const endpoints = folder === undefined ? undefined : read(join(folder, 'endpoints.json'));
  const known = endpoints === undefined ? undefined : (JSON.parse(endpoints) as Endpoints);
  const foundUrl = url ?? known?.url;
  if (foundUrl === undefined) {
    const where = folder === undefined ? 'There is no .ksi folder here or above' : `No cluster runs in ${folder}`;
    throw new CliError(`${where}. Start one with \`make up\`, or set KSI_URL and KSI_TOKEN.`);
  }
  const tokenFile = known?.token_file ?? (folder === undefined ? undefined : join(folder, 'token'));
  const foundToken = token ?? (tokenFile === undefined ? undefined : present(read(tokenFile)?.trim()));
  if (foundToken === undefined) throw new CliError('There is no token. Set KSI_TOKEN, or give --token.', EXIT.auth);
  return { url: foundUrl, token: foundToken };
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
    if (FILES.some((name) => existsSync(join(folder, name)))) return folder;
    if (dirname(at) === at) return undefined;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, EXIT.failure, error);
  }
}
