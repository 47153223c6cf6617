import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { isRecord } from '../json.js';
import { lockHolder } from '../process/folder-lock.js';
import { folderId } from '../process/folder-id.js';
import { isStopped } from '../process/identity.js';
import { ClusterError, sentError, type SentError } from './errors.js';
import { clusterPaths, socketAddress } from './paths.js';
import type { ClusterStatus } from './supervisor.js';

/** A request to the supervisor over its Unix socket: one line of JSON. */
export type ControlRequest =
  | { readonly op: 'status' }
  /** Waits until the start has succeeded or failed. */
  | { readonly op: 'ready' }
  | { readonly op: 'scale'; readonly workers: number }
  /** Restarts a bridge that was shut down, and waits until it listens. */
  | { readonly op: 'bridge' }
  /** Restarts the processes one after the other with the settings of `env`. */
  | { readonly op: 'restart'; readonly env: Readonly<Record<string, string | undefined>> }
  /** Waits until every process except the supervisor has ended. */
  | { readonly op: 'down' };

/** One line of the answer. Progress lines come first; the status or an error is the last line. */
export type ControlAnswer =
  { readonly progress: string } | { readonly status: ClusterStatus } | { readonly error: SentError };

export type ControlHandler = (
  request: ControlRequest,
  progress: (text: string) => void,
) => Promise<ClusterStatus> | ClusterStatus;

/** Serves the control socket. Only the socket's user can open it: every client may stop the cluster. */
export class ControlServer {
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, handler: ControlHandler) {
    this.#path = path;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      // A client that disconnects early does not need the answer.
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      const lines = createInterface({ input: socket });
      // readline emits the socket's errors again, and an unhandled one would end the supervisor.
      lines.on('error', () => undefined);
      lines.once('line', (line) => void answer(socket, line, dirname(path), handler));
    });
  }

  /** Call this only with the cluster's lock held: a socket that is already at the path is then a leftover. */
  async start(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#server.listen(socketAddress(this.#path));
    await once(this.#server, 'listening');
    await chmod(this.#path, 0o600);
  }

  /** Closes after pending answers are sent. Idempotent. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.end();
    await once(this.#server, 'close');
    await rm(this.#path, { force: true });
  }
}

async function answer(socket: Socket, line: string, dir: string, handler: ControlHandler): Promise<void> {
  const send = (value: ControlAnswer): void => void socket.write(`${JSON.stringify(value)}\n`);
  try {
    send({ status: await handler(parseRequest(line, dir), (progress) => send({ progress })) });
  } catch (error) {
    send({ error: sentError(error) });
  }
  socket.end();
}

function parseRequest(line: string, dir: string): ControlRequest {
  const value = JSON.parse(line) as { op?: unknown; workers?: unknown; env?: unknown; folder?: unknown };
  // A copy of the folder that consists of hard links has the same socket.
  if (value.folder !== folderId(dir)) throw notRunning();
  switch (value.op) {
    case 'status':
    case 'ready':
    case 'bridge':
    case 'down':
      return { op: value.op };
    case 'scale':
      if (Number.isSafeInteger(value.workers) && Number(value.workers) >= 0)
        return { op: 'scale', workers: Number(value.workers) };
      break;
    case 'restart':
      if (isRecord(value.env) && Object.values(value.env).every((each) => typeof each === 'string'))
        return { op: 'restart', env: value.env as Record<string, string> };
      break;
    default:
  }
  // The request may hold secrets.
  throw new ClusterError('internal', `The supervisor does not know the operation ${JSON.stringify(value.op)}`);
}

interface AskOptions {
  readonly progress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A running supervisor answers a status request at once, even when it is busy. */
const STATUS_TIMEOUT_MS = 10_000;
/** For a suspended supervisor, which may just be resuming. */
const SUSPENDED_TIMEOUT_MS = 1_000;

/**
 * Sends a request to the supervisor of a cluster. A status request with a timeout goes first. The request itself has no timeout.
 * @param path of the socket
 * @throws {ClusterError} `not_running` when nothing listens at `path`, `not_answering` when the supervisor is silent or disconnects, and any
 * error that the supervisor sends
 */
export async function askSupervisor(
  path: string,
  request: ControlRequest,
  options: AskOptions = {},
): Promise<ClusterStatus> {
  const holder = lockHolder(clusterPaths(dirname(path)).claim);
  const timeoutMs = holder !== undefined && isStopped(holder.pid) ? SUSPENDED_TIMEOUT_MS : STATUS_TIMEOUT_MS;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
  let status: ClusterStatus;
  try {
    status = await ask(path, { op: 'status' }, request.op === 'status' ? { ...options, signal } : { signal });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (timeout.aborted) throw notAnswering(holder?.pid, timeoutMs);
    throw error;
  }
  return request.op === 'status' ? status : ask(path, request, options);
}

async function ask(path: string, request: ControlRequest, { progress, signal }: AskOptions): Promise<ClusterStatus> {
  const socket = connect(socketAddress(path));
  try {
    await once(socket, 'connect', { signal });
  } catch (cause) {
    socket.destroy();
    signal?.throwIfAborted();
    throw notRunning(cause);
  }
  const abort = (): void => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  // The loop below ends without an answer.
  socket.on('error', () => undefined);
  const lines = createInterface({ input: socket });
  // readline ends by itself only after a regular end of the socket.
  socket.once('close', () => lines.close());
  socket.write(`${JSON.stringify({ ...request, folder: folderId(dirname(path)) })}\n`);
  try {
    for await (const line of lines) {
      const answer = JSON.parse(line) as ControlAnswer;
      if ('progress' in answer) progress?.(answer.progress);
      else if ('error' in answer) throw new ClusterError(answer.error.code, answer.error.message);
      else return answer.status;
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    socket.destroy();
  }
  signal?.throwIfAborted();
  throw new ClusterError(
    'not_answering',
    'The supervisor ended before it answered. See `make logs`, and run `make down` to end its remaining processes.',
  );
}

const notRunning = (cause?: unknown): ClusterError =>
  new ClusterError('not_running', 'No cluster is running here. Start one with `make up`.', { cause });

const notAnswering = (pid: number | undefined, timeoutMs: number): ClusterError =>
  new ClusterError(
    'not_answering',
    pid !== undefined && isStopped(pid)
      ? `The supervisor does not answer because a signal suspended it (process ${pid}). Resume it with \`kill -CONT ${pid}\`, or end the cluster with \`make down\`.`
      : `The supervisor did not answer within ${timeoutMs / 1_000} s. See \`make logs\`, or end the cluster with \`make down\`.`,
  );
