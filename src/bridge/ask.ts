import { connect } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { LEGACY_SOCKET, LEGACY_VERSION } from '../../contracts/legacy.js';
import { STATS_COMMAND, type BridgeStats } from './dispatcher.js';
import { BridgeError } from './errors.js';

/** Asks a running bridge what it has served. @throws {BridgeError} none listens there, or it is the old daemon. */
export async function askBridge(dir: string, socket?: string): Promise<BridgeStats> {
  const path = resolve(socket ?? join(dir, LEGACY_SOCKET));
  const answer = await ask(path, `${JSON.stringify({ command: STATS_COMMAND, version: LEGACY_VERSION })}\n`);
  const { result } = JSON.parse(answer) as { result?: BridgeStats };
  if (result === undefined) throw new BridgeError(`What listens on ${path} is no bridge: ${answer.trim()}`);
  return result;
}

function ask(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(relative(process.cwd(), path), () => client.write(line));
    let text = '';
    client.setEncoding('utf8').on('data', (part: string) => (text += part));
    client.on('end', () => resolve(text));
    client.on('error', (error) =>
      reject(new BridgeError(`No bridge listens on ${path} (${error.message}). Start one: ksi bridge, or make up BRIDGE=1.`)),
    );
  });
}
