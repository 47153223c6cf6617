import { join, relative, resolve } from 'node:path';
import { ClusterError } from './errors.js';

/** Where a cluster keeps what: everything below its KSI_DIR. */
export interface ClusterPaths {
  readonly dir: string;
  readonly token: string;
  readonly endpoints: string;
  /** Names the process that runs the cluster; a number follows (`lockFolder`). */
  readonly claim: string;
  /** The supervisor's Unix socket. */
  readonly socket: string;
  /** The processes that run, so that a crash of the supervisor leaves none unknown. */
  readonly processes: string;
  readonly logs: string;
  readonly log: (process: string) => string;
  readonly nats: string;
  /** What the nats-servers are started with. */
  readonly natsConf: string;
  readonly seed: (user: string) => string;
  /** Where a nats-server stores what: the only one, or number `n` of a cluster. */
  readonly natsStore: (n?: number) => string;
}

/** @param dir KSI_DIR, taken from the working folder when relative. */
export function clusterPaths(dir: string): ClusterPaths {
  const root = resolve(dir);
  const logs = join(root, 'logs');
  const nats = join(root, 'nats');
  return {
    dir: root,
    token: join(root, 'token'),
    endpoints: join(root, 'endpoints.json'),
    claim: join(root, 'supervisor.claim'),
    socket: join(root, 'supervisor.sock'),
    processes: join(root, 'processes.json'),
    logs,
    log: (process) => join(logs, `${process}.log`),
    nats,
    natsConf: join(nats, 'nats.conf'),
    seed: (user) => join(nats, `${user}.nk`),
    natsStore: (n) => join(nats, n === undefined ? 'store' : `store-${n}`),
  };
}

/** What every system takes as the address of a Unix socket. */
const LONGEST_SOCKET_PATH = 103;

/** A socket's path as the system takes it: those of Unix sockets must be short, so the shorter of its two forms. */
export function socketAddress(path: string, from: string = process.cwd()): string {
  const short = relative(from, path);
  const address = Buffer.byteLength(short) < Buffer.byteLength(path) ? short : path;
  if (Buffer.byteLength(address) > LONGEST_SOCKET_PATH)
    throw new ClusterError(
      'path_too_long',
      `KSI_DIR is too long for the supervisor's socket in it (${path}: the system takes ${LONGEST_SOCKET_PATH} bytes). Set KSI_DIR to a shorter path.`,
    );
  return address;
}
