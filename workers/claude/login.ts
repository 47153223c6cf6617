import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord } from '../../src/json.js';
import type { Login } from './sandbox.js';
import { systemClock } from '../../src/clock.js';

export const CREDENTIALS = '.credentials.json';

/** Claude renews a login minutes before it expires. */
const RENEWAL_MS = 15 * 60_000;

/**
 * The login in a Claude configuration folder. A run may write the login only if it may have to renew it, because it could also replace
 * it with another account's.
 */
export async function loginIn(folder: string, lastsMs: number): Promise<Login> {
  const file = join(folder, CREDENTIALS);
  const expiresAt = await expiryOf(file);
  return { folder, file, writable: expiresAt === undefined || expiresAt < systemClock.now() + lastsMs + RENEWAL_MS };
}

/** When the login expires, in ms since 1970. Undefined: the file does not say. */
async function expiryOf(file: string): Promise<number | undefined> {
  try {
    const read: unknown = JSON.parse(await readFile(file, 'utf8'));
    const oauth = isRecord(read) ? read['claudeAiOauth'] : undefined;
    const expiresAt = isRecord(oauth) ? oauth['expiresAt'] : undefined;
    return typeof expiresAt === 'number' ? expiresAt : undefined;
  } catch {
    return undefined;
  }
}
