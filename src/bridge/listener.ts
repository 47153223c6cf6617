import type { Stats } from 'node:fs';
import { link, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { ifExists } from '../if-exists.js';
import { MAX_SOCKET_PATH, shortSocketPath } from '../process/socket-path.js';
import { BridgeError } from './errors.js';

/** Further connections are closed at once. */
const MAX_CONNECTIONS = 10_000;

/** An old daemon that a client starts replaces the socket. Its clients are back within this time. */
const LOOK_EVERY_MS = 1_000;

export interface ListenerOptions {
  readonly path: string;
  readonly onConnection: (socket: Socket) => void;
  /** Called when another process replaced or removed the socket, and the listener took it back. */
  readonly onTakenBack: () => Promise<void>;
  /** Called when it could not be taken back. The listener tries again. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Listens on a Unix socket that only its user may use (mode 0600). Creates the folder if necessary. Replaces a socket that a dead bridge or
 * daemon left. If another process replaces or removes the socket, the listener takes it back.
 */
export class SocketListener {
  readonly #options: ListenerOptions;
  readonly #closed: Promise<void>[] = [];
  #bound: Bound;
  #looking: Promise<void> = Promise.resolve();
  readonly #timer: NodeJS.Timeout;

  private constructor(options: ListenerOptions, bound: Bound) {
    this.#options = options;
    this.#bound = bound;
    this.#timer = setInterval(() => {
      this.#looking = this.#looking.then(() => this.#look());
    }, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** @throws {BridgeError} if another process listens there, or the file is not a socket */
  static async open(options: ListenerOptions): Promise<SocketListener> {
    const { path } = options;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await removeDead(path, addressOf(path));
    // Of two bridges that start at once, only one can link its socket.
    return new SocketListener(options, await bind(options, linkNew));
  }

  /** Accepts no further connections. Resolves when all connections have ended. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    if (await isAt(this.#options.path, this.#bound)) await rm(this.#options.path, { force: true });
    this.#retire(this.#bound);
    await Promise.all(this.#closed);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { path, onTakenBack, onFailure } = this.#options;
    try {
      if (await isAt(path, this.#bound)) return;
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const before = this.#bound;
      this.#bound = await bind(this.#options, replaceSocket);
      this.#retire(before);
      await onTakenBack();
    } catch (error) {
      onFailure(error);
    }
  }

  #retire({ server }: Bound): void {
    this.#closed.push(new Promise((resolve) => server.close(() => resolve())));
  }
}

interface Bound {
  readonly server: Server;
  readonly file: Stats;
}

/** Whether the socket is the file at `path`. Its inode cannot be reused while the server is open. */
async function isAt(path: string, { file }: Bound): Promise<boolean> {
  const found = await ifExists(lstat(path));
  return found?.ino === file.ino && found.dev === file.dev;
}

/** Moves a new socket to its path. @throws {BridgeError} */
type Publish = (draft: string, path: string) => Promise<void>;

const linkNew: Publish = async (draft, path) => {
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EEXIST' ? socketInUse(path) : error;
  });
  await rm(draft);
};

const replaceSocket: Publish = async (draft, path) => {
  const found = await ifExists(lstat(path));
  if (found?.isSocket() === false) throw new BridgeError(`${path} is not a socket any more. Move it away.`);
  await rename(draft, path);
};

/** Listens on a new socket at `path`. */
async function bind({ path, onConnection }: ListenerOptions, publish: Publish): Promise<Bound> {
  // A closing server removes the path that it was bound to, even if the file there is another server's by then. So it is bound to another.
  const draft = join(dirname(path), `.${process.pid}`);
  const address = addressOf(draft);
  // A client may end its half of the connection and then wait for the answer.
  const server = createServer({ allowHalfOpen: true }, onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  await rm(draft, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new BridgeError(`${path}: ${error.message}`, { cause: error })));
    // `listen` creates the socket before it returns, so the socket has this mode from the start.
    const mask = process.umask(0o177);
    try {
      // A full backlog refuses connections, so it is as long as possible.
      server.listen({ path: address, backlog: MAX_CONNECTIONS }, resolve);
    } finally {
      process.umask(mask);
    }
  });
  try {
    const file = await lstat(draft);
    await publish(draft, path);
    return { server, file };
  } catch (error) {
    server.close();
    await rm(draft, { force: true });
    throw error;
  }
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
