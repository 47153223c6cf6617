import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { LEGACY_SOCKET, LEGACY_VERSION } from '../../contracts/bridge/legacy.js';
import { shortSocketPath } from '../process/socket-path.js';
import { STATS_COMMAND, type BridgeStats } from './dispatcher.js';
import { BridgeError } from './errors.js';

/** The bridge answers this command itself, at once. */
const STATS_TIMEOUT_MS = 3_000;

/** The answer of a bridge or an old daemon. */
export type LegacyAnswer =
  | { readonly status: 'success'; readonly command: string; readonly result: unknown }
  | { readonly status: 'error'; readonly error: { readonly code: string; readonly message: string } };

/** The absolute path of `socket`, by default the one in the working folder `dir`. */
export const socketOf = (dir: string, socket?: string): string => resolve(socket ?? join(dir, LEGACY_SOCKET));

/** Sends one command like an old client. @param timeoutMs 0: wait without a limit. @throws {BridgeError} if nothing listens at `path`, the answer is not JSON, or there is none in time */
export async function askLegacy(
  path: string,
  command: string,
  parameters: object = {},
  timeoutMs = 0,
): Promise<LegacyAnswer> {
  const line = `${JSON.stringify({ command, version: LEGACY_VERSION, parameters })}\n`;
  const answer = await exchange(path, line, timeoutMs);
  try {
    return JSON.parse(answer) as LegacyAnswer;
  } catch (error) {
    throw new BridgeError(
      `The program that listens on ${path} does not speak the old daemon's protocol. Give the path of a bridge or daemon. It answered: ${answer.slice(0, 200)}`,
      { cause: error },
    );
  }
}

/** The counters of a running bridge. @throws {BridgeError} if no bridge listens at `path` */
export async function askStats(path: string): Promise<BridgeStats> {
  const answer = await askLegacy(path, STATS_COMMAND, {}, STATS_TIMEOUT_MS);
  if (answer.status === 'success') return answer.result as BridgeStats;
  throw new BridgeError(
    `The program that listens on ${path} is not a bridge, but probably the old daemon. It answered: ${answer.error.message}`,
  );
}

function exchange(path: string, line: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(shortSocketPath(path) ?? path, () => client.write(line));
    let text = '';
    client.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (part.includes('\n')) client.end();
    });
    client.setTimeout(timeoutMs, () => {
      reject(new BridgeError(`The program that listens on ${path} did not answer within ${timeoutMs} ms.`));
      client.destroy();
    });
    client.on('close', () => resolve(text));
    client.on('error', (error) =>
      reject(
        new BridgeError(
          `Could not connect to ${path} (${error.message}). Start a bridge: ksi bridge, or make up BRIDGE=1.`,
        ),
      ),
    );
  });
}
