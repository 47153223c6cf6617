import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { ifExists } from '../if-exists.js';
import { MAX_SOCKET_PATH, shortSocketPath } from '../process/socket-path.js';
import { BridgeError } from './errors.js';

/** Further connections are closed at once. */
const MAX_CONNECTIONS = 10_000;

/**
 * Listens on a Unix socket that only its user may use (mode 0600). Creates the folder if necessary. Replaces a socket that a dead bridge or
 * daemon left.
 * @throws {BridgeError} if another process listens there, or the file is not a socket
 */
export async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  const address = addressOf(path);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeDead(path, address);
  // A client may end its half of the connection and then wait for the answer.
  const server = createServer({ allowHalfOpen: true }, onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? socketInUse(path)
          : new BridgeError(`${path}: ${error.message}`, { cause: error }),
      ),
    );
    // `listen` creates the socket before it returns, so the socket has this mode from the start.
    const mask = process.umask(0o177);
    try {
      // A full backlog refuses connections, so it is as long as possible.
      server.listen({ path: address, backlog: MAX_CONNECTIONS }, resolve);
    } finally {
      process.umask(mask);
    }
  });
  return server;
}

/** @throws {BridgeError} if the path is too long */
function addressOf(path: string): string {
  const address = shortSocketPath(path);
  if (address !== undefined) return address;
  throw new BridgeError(
    `${path} is longer than the ${MAX_SOCKET_PATH} bytes that the system allows for a Unix socket. Set --socket to a shorter path, and CLAUDE_DAEMON_SOCKET of the clients to the same.`,
  );
}

async function removeDead(path: string, address: string): Promise<void> {
  const found = await ifExists(lstat(path));
  if (found === undefined) return;
  if (!found.isSocket())
    throw new BridgeError(`${path} exists, but is not a socket. Move it, or use another --socket.`);
  if (await answers(address)) throw socketInUse(path);
  // Rename before the removal: another bridge may have replaced the dead socket since.
  const aside = `${path}.${process.pid}`;
  await rename(path, aside);
  const moved = await lstat(aside);
  if (moved.ino !== found.ino || moved.dev !== found.dev) {
    await rename(aside, path);
    throw socketInUse(path);
  }
  await rm(aside);
}

const socketInUse = (path: string): BridgeError =>
  new BridgeError(
    `Another bridge or the old daemon listens on ${path} already. End it, or use another --socket. To run next to the daemon, also use --upstream.`,
  );

/** Whether a process listens at `address`. A process that is too busy to accept counts too. */
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
