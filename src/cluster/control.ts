import { once } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { lockHolder } from '../process/folder-lock.js';
import { folderId } from '../process/folder-id.js';
import { isStopped } from '../process/identity.js';
import { ClusterError, sentError, type SentError } from './errors.js';
import { clusterPaths, socketAddress } from './paths.js';
import type { ClusterStatus } from './supervisor.js';

/** What is asked of a supervisor over its Unix socket: one JSON line. */
export type ControlRequest =
  | { readonly op: 'status' }
  /** Answered once the start has succeeded or failed. */
  | { readonly op: 'ready' }
  | { readonly op: 'scale'; readonly workers: number }
  /** Answered when the bridge listens that was shut down. */
  | { readonly op: 'bridge' }
  /** Answered when everything but the supervisor itself has ended. */
  | { readonly op: 'down' };

/** The answer: lines of progress, then the status or an error. */
export type ControlAnswer =
  { readonly progress: string } | { readonly status: ClusterStatus } | { readonly error: SentError };

export type ControlHandler = (
  request: ControlRequest,
  progress: (text: string) => void,
) => Promise<ClusterStatus> | ClusterStatus;

/** The supervisor's end. The socket is the user's alone: who may open it may stop the cluster. */
export class ControlServer {
  readonly #path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(path: string, handler: ControlHandler) {
    this.#path = path;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      // A client that goes away early has no use for the answer.
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      const lines = createInterface({ input: socket });
      // It repeats the socket's errors, and one that nobody hears ends the supervisor.
      lines.on('error', () => undefined);
      lines.once('line', (line) => void answer(socket, line, dirname(path), handler));
    });
  }

  /** Only for the holder of the cluster's claim: what lies at the path is a leftover. */
  async start(): Promise<void> {
    await rm(this.#path, { force: true });
    this.#server.listen(socketAddress(this.#path));
    await once(this.#server, 'listening');
    await chmod(this.#path, 0o600);
  }

  /** Lets answers under way be sent. Idempotent. */
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
  const value = JSON.parse(line) as { op?: unknown; workers?: unknown; folder?: unknown };
  // A copy of the folder made of hard links has this very socket.
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
    default:
  }
  throw new ClusterError('internal', `The supervisor does not understand ${line}`);
}

interface AskOptions {
  readonly progress?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A supervisor that runs tells its status at once, whatever it is doing. */
const ANSWERS_WITHIN_MS = 10_000;
/** One that a signal has stopped may be going on at this moment. */
const GOES_ON_WITHIN_MS = 1_000;

/**
 * Asks the supervisor of a cluster. It must tell its status in time first; what is asked may then take as long as it takes.
 * @throws {ClusterError} `not_running` when nobody listens there, `not_answering` when it is silent or breaks off, or the supervisor's own.
 */
export async function askSupervisor(
  path: string,
  request: ControlRequest,
  options: AskOptions = {},
): Promise<ClusterStatus> {
  const holder = lockHolder(clusterPaths(dirname(path)).claim);
  const withinMs = holder !== undefined && isStopped(holder.pid) ? GOES_ON_WITHIN_MS : ANSWERS_WITHIN_MS;
  const patience = AbortSignal.timeout(withinMs);
  const signal = options.signal === undefined ? patience : AbortSignal.any([options.signal, patience]);
  let status: ClusterStatus;
  try {
    status = await ask(path, { op: 'status' }, request.op === 'status' ? { ...options, signal } : { signal });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (patience.aborted) throw silent(holder?.pid, withinMs);
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
  socket.on('error', () => undefined); // The end of the lines says it.
  const lines = createInterface({ input: socket });
  // They know only of a regular end by themselves.
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
    'The supervisor ended before it answered. See `make logs`, and run `make down` to end what it left.',
  );
}

const notRunning = (cause?: unknown): ClusterError =>
  new ClusterError('not_running', 'No cluster is running here. Start one with `make up`.', { cause });

const silent = (pid: number | undefined, withinMs: number): ClusterError =>
  new ClusterError(
    'not_answering',
    pid !== undefined && isStopped(pid)
      ? `The supervisor does not answer: a signal stopped process ${pid}. Let it go on with \`kill -CONT ${pid}\`, or end the cluster with \`make down\`.`
      : `The supervisor did not answer within ${withinMs / 1_000} s. See \`make logs\`; \`make down\` ends the cluster.`,
  );
