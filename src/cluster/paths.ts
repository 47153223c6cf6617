import { join, resolve } from 'node:path';
import { MAX_SOCKET_PATH, shortSocketPath } from '../process/socket-path.js';
import { ClusterError } from './errors.js';

/** The files of a cluster, all in its KSI_DIR. */
export interface ClusterPaths {
  readonly dir: string;
  readonly token: string;
  readonly endpoints: string;
  /** The supervisor's lock on the folder (`lockFolder` adds a number to the name). */
  readonly claim: string;
  /** The supervisor's Unix socket. */
  readonly socket: string;
  /** The record of running processes, which survives a crash of the supervisor. */
  readonly processes: string;
  readonly logs: string;
  readonly log: (process: string) => string;
  readonly nats: string;
  /** The rendered configuration of the nats-servers. */
  readonly natsConf: string;
  readonly seed: (user: string) => string;
  /** The store of server `n` of a cluster, or of the single server. */
  readonly natsStore: (n?: number) => string;
}

/** @param dir KSI_DIR. A relative path starts at the working folder. */
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

/** The address of the supervisor's socket. @throws {ClusterError} `path_too_long` */
export function socketAddress(path: string, from?: string): string {
  const address = shortSocketPath(path, from);
  if (address === undefined)
    throw new ClusterError(
      'path_too_long',
      `The path of the supervisor's socket, ${path}, is longer than the ${MAX_SOCKET_PATH} bytes that the system allows. Set KSI_DIR to a shorter path.`,
    );
  return address;
}
