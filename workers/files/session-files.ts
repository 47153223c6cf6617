import { read, statSync, type BigIntStats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Msg, Subscription } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import {
  PIECE_BYTES,
  WorkerFilesRequest,
  type WorkerFilesAnswers,
  type WorkerFilesFault,
} from '../../contracts/sessions/worker-files.js';
import type { FileEntry } from '../../contracts/sessions/files.js';
import { check } from '../../contracts/wire/check.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { Broker } from '../../src/broker/connect.js';
import { parseJson } from '../../src/json.js';
import { isWithin } from '../../src/workspaces/path-within.js';
import type { Workspaces } from '../../src/workspaces/roots.js';
import type { ContainedLauncher } from '../claude/contained-launcher.js';
import type { Folders } from '../claude/folders.js';
import { FolderMoved } from '../claude/open-folder.js';
import { gitDiff } from './git-diff.js';
import { listFolder } from './list-folder.js';
import { NotThere, openFileIn, openFolderBelow, type Hidden } from './open-below.js';

/** Shorter than an API waits for the answer. */
const ANSWER_MS = 8_000;
/** The most bytes of a page of entries, as JSON, and of a compressed diff. */
const MAX_ANSWER_BYTES = 700_000;

const compress = promisify(gzip);
const readAt = promisify(read);

export interface SessionFilesOptions {
  readonly broker: Broker;
  /** The worker's name in the subject of requests. */
  readonly process: string;
  readonly workerId: string;
  readonly folders: Pick<Folders, 'base' | 'pathOf' | 'temporary'>;
  readonly workspaces: Pick<Workspaces, 'find'>;
  readonly launcher: Pick<ContainedLauncher, 'contain' | 'kind'>;
  /** The operator's files with secrets. */
  readonly secrets: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
}

type Answer = WorkerFilesAnswers[keyof WorkerFilesAnswers] | WorkerFilesFault;
type Of<V extends WorkerFilesRequest['verb']> = Extract<WorkerFilesRequest, { verb: V }>;

/** A request cannot be answered. */
class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: WorkerFilesFault['fault'];

  constructor(code: WorkerFilesFault['fault'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Answers requests for the files of working folders. Reads for one request at a time, so that requests cannot keep the disk busy. */
export class SessionFiles {
  readonly #options: SessionFilesOptions;
  readonly #stopping = new AbortController();
  #subscription: Subscription | undefined;
  #answering: Promise<void> = Promise.resolve();

  constructor(options: SessionFilesOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, process, log } = this.#options;
    this.#subscription = broker.nc.subscribe(SUBJECT.workspaceFiles(process), {
      callback: (error, message) => {
        if (error !== null) return log.warn({ err: error }, 'cannot answer requests for files');
        this.#take(message);
      },
    });
  }

  #take(message: Msg): void {
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ANSWER_MS)]);
    const request = check(WorkerFilesRequest, parseJson(message.data));
    // The API is newer than this worker.
    if (!request.ok) return;
    // An API waits for this answer of every worker, and it takes no time.
    if (request.value.verb === 'find') void this.#answerTo(message, request.value, signal);
    else this.#answering = this.#answering.then(() => this.#answerTo(message, request.value, signal));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#subscription?.unsubscribe();
    await this.#answering;
  }

  /** Never rejects. */
  async #answerTo(message: Msg, request: WorkerFilesRequest, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    // The API has stopped waiting.
    if (signal.aborted) return;
    const answer = await this.#answer(request, signal).catch((error: unknown) => {
      if (!signal.aborted) log.warn({ err: error, session_id: request.session_id }, 'cannot read a working folder');
      return faultOf(error);
    });
    try {
      message.respond(JSON.stringify(answer));
    } catch (error) {
      log.warn({ err: error, session_id: request.session_id }, 'could not answer a request for files');
    }
  }

  async #answer(request: WorkerFilesRequest, signal: AbortSignal): Promise<Answer> {
    try {
      const path = await this.#folderOf(request);
      if (request.verb === 'find') return { worker_id: this.#options.workerId, changed_at: statSync(path).mtimeMs };
      if (request.verb === 'list') return await this.#list(path, request, signal);
      if (request.verb === 'read') return await this.#read(path, request);
      return await this.#diff(path, request, signal);
    } catch (error) {
      if (error instanceof Fault) return faultOf(error);
      if (error instanceof NotThere)
        return { fault: 'file_not_found', message: 'nothing that may be read has this path' };
      if (error instanceof FolderMoved) return { fault: 'absent', message: error.message };
      throw error;
    }
  }

  /** The real path of the session's working folder. @throws {Fault} absent */
  async #folderOf({ session_id: sessionId, workspace }: WorkerFilesRequest): Promise<string> {
    const { folders, workspaces } = this.#options;
    if (workspace === undefined) {
      const path = folders.pathOf(sessionId);
      if (path === undefined || statSync(path, { throwIfNoEntry: false }) === undefined)
        throw new Fault('absent', 'this host has no folder of the session');
      return path;
    }
    const found = await workspaces.find(workspace);
    if (found.kind !== 'found') throw new Fault('absent', found.why);
    if (isWithin(found.path, folders.base)) throw new Fault('absent', `${workspace} lies in KSI_DIR`);
    return found.path;
  }

  async #list(
    root: string,
    { path, recursive, limit, after }: Of<'list'>,
    signal: AbortSignal,
  ): Promise<WorkerFilesAnswers['list']> {
    const folder = openFolderBelow(root, path, this.#hidden());
    try {
      const entries: FileEntry[] = [];
      let bytes = 0;
      const listing = { recursive, after, isHidden: this.#hidden(), signal };
      for await (const entry of listFolder(folder, path === '' ? '' : `${path}/`, listing)) {
        bytes += Buffer.byteLength(JSON.stringify(entry));
        if (entries.length === limit || bytes > MAX_ANSWER_BYTES) return { entries, more: true };
        entries.push(entry);
      }
      return { entries, more: false };
    } finally {
      folder.close();
    }
  }

  async #read(root: string, { path, offset, length }: Of<'read'>): Promise<WorkerFilesAnswers['read']> {
    const isHidden = this.#hidden();
    const parent = dirname(path);
    const folder = openFolderBelow(root, parent === '.' ? '' : parent, isHidden);
    try {
      const file = openFileIn(folder, basename(path), isHidden);
      try {
        const buffer = Buffer.alloc(Math.min(length, PIECE_BYTES));
        const { bytesRead } = await readAt(file.fd, buffer, 0, buffer.length, offset);
        return { bytes: Number(file.stat.size), data: buffer.subarray(0, bytesRead).toString('base64') };
      } finally {
        file.close();
      }
    } finally {
      folder.close();
    }
  }

  async #diff(root: string, { base }: Of<'diff'>, signal: AbortSignal): Promise<WorkerFilesAnswers['diff']> {
    const { folders, launcher, secrets, env } = this.#options;
    const folder = openFolderBelow(root, '', this.#hidden());
    try {
      const hidden = [folders.base, ...secrets];
      const diff = await gitDiff({
        launcher,
        folder,
        path: root,
        base,
        hidden,
        temporary: folders.temporary,
        env,
        signal,
      });
      if (diff.kind === 'failed') throw new Fault('not_a_repository', diff.why);
      const data = diff.kind === 'diff' ? (await compress(diff.bytes)).toString('base64') : undefined;
      if (data === undefined || data.length > MAX_ANSWER_BYTES)
        throw new Fault('files_too_large', 'the diff is too large');
      return { data };
    } finally {
      folder.close();
    }
  }

  /** KSI_DIR and the operator's secrets, which may lie in a workspace. */
  #hidden(): Hidden {
    const { folders, secrets } = this.#options;
    const ids = new Set(
      [folders.base, ...secrets].flatMap((path) => {
        const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
        return stat === undefined ? [] : idOf(stat);
      }),
    );
    return (stat) => ids.has(idOf(stat));
  }
}

const idOf = ({ dev, ino }: BigIntStats): string => `${dev}.${ino}`;

const faultOf = (error: unknown): WorkerFilesFault =>
  error instanceof Fault
    ? { fault: error.code, message: error.message }
    : { fault: 'worker_unreachable', message: 'the worker could not read the folder in time' };
