import type { Stats } from 'node:fs';
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, relative } from 'node:path';
import { BridgeError } from './errors.js';

/** Connections that may be open at once; further ones are closed unheard. */
const MOST_CONNECTIONS = 10_000;
/** What every system takes as the address of a Unix socket. */
const LONGEST_ADDRESS = 103;

/**
 * Listens on a Unix socket that its user alone may use (mode 0600), in a folder that is made if need be. What a dead bridge or daemon left there
 * is replaced; where one listens, or something else than a socket is, it is left alone.
 * @throws {BridgeError}
 */
export async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  const address = addressOf(path);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeDead(path, address);
  // A client that has said all it has to say may end its half and wait for the answer.
  const server = createServer({ allowHalfOpen: true }, onConnection);
  server.maxConnections = MOST_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE' ? taken(path) : new BridgeError(`${path}: ${error.message}`, { cause: error }),
      ),
    );
    // The socket is made within `listen`, so that nobody else may use it from the first moment on.
    const mask = process.umask(0o177);
    try {
      // The queue of those that are not accepted yet is as long as the system lets it: a full one refuses at once.
      server.listen({ path: address, backlog: MOST_CONNECTIONS }, resolve);
    } finally {
      process.umask(mask);
    }
  });
  return server;
}

/** The shorter of its two forms. */
function addressOf(path: string): string {
  const short = relative(process.cwd(), path);
  const address = Buffer.byteLength(short) < Buffer.byteLength(path) ? short : path;
  if (Buffer.byteLength(address) <= LONGEST_ADDRESS) return address;
  throw new BridgeError(
    `${path} is too long for a Unix socket (the system takes ${LONGEST_ADDRESS} bytes). Give --socket a shorter one, and clients the same by CLAUDE_DAEMON_SOCKET.`,
  );
}

async function removeDead(path: string, address: string): Promise<void> {
  const found = await statOf(path);
  if (found === undefined) return;
  if (!found.isSocket())
    throw new BridgeError(`${path} is there and no socket: move it away, or give another --socket.`);
  if (await answers(address)) throw taken(path);
  // Put aside first: what is removed must be what was found dead, not the socket that another bridge has made since.
  const aside = `${path}.${process.pid}`;
  await rename(path, aside);
  const moved = await lstat(aside);
  if (moved.ino !== found.ino || moved.dev !== found.dev) {
    await rename(aside, path);
    throw taken(path);
  }
  await rm(aside);
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const taken = (path: string): BridgeError =>
  new BridgeError(
    `Something listens on ${path} already: another bridge, or the old daemon. End it first, or give another --socket (beside a daemon: --upstream).`,
  );

/** Whether somebody listens there. One too busy to take the connection does. */
function answers(address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else if (code === 'EAGAIN') resolve(true);
      else reject(new BridgeError(`${address}: ${message}`));
    });
  });
}
