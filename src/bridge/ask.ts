import { connect } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { LEGACY_SOCKET, LEGACY_VERSION } from '../../contracts/bridge/legacy.js';
import { STATS_COMMAND, type BridgeStats } from './dispatcher.js';
import { BridgeError } from './errors.js';

/** What a bridge or an old daemon answers. */
export type LegacyAnswer =
  | { readonly status: 'success'; readonly command: string; readonly result: unknown }
  | { readonly status: 'error'; readonly error: { readonly code: string; readonly message: string } };

/** The socket that is meant: `socket`, or where a working folder has it. */
export const socketOf = (dir: string, socket?: string): string => resolve(socket ?? join(dir, LEGACY_SOCKET));

/** Sends one command as an old client does. @throws {BridgeError} nobody answers there. */
export async function askLegacy(path: string, command: string, parameters: object = {}): Promise<LegacyAnswer> {
  const answer = await exchange(path, `${JSON.stringify({ command, version: LEGACY_VERSION, parameters })}\n`);
  try {
    return JSON.parse(answer) as LegacyAnswer;
  } catch (error) {
    throw new BridgeError(`What listens on ${path} doesn't speak the protocol: ${answer.slice(0, 200)}`, {
      cause: error,
    });
  }
}

/** Asks a running bridge what it has served. @throws {BridgeError} none listens there, or it is the old daemon. */
export async function askStats(path: string): Promise<BridgeStats> {
  const answer = await askLegacy(path, STATS_COMMAND);
  if (answer.status === 'success') return answer.result as BridgeStats;
  throw new BridgeError(`What listens on ${path} is no bridge: ${answer.error.message}`);
}

function exchange(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(relative(process.cwd(), path), () => client.write(line));
    let text = '';
    client.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (part.includes('\n')) client.end();
    });
    client.on('close', () => resolve(text));
    client.on('error', (error) =>
      reject(
        new BridgeError(
          `Nobody listens on ${path} (${error.message}). Start a bridge: ksi bridge, or make up BRIDGE=1.`,
        ),
      ),
    );
  });
}
