import type { DeletionPending } from '../../../contracts/retention/deletion.js';
import type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
} from '../../../contracts/sessions/sessions.js';
import type { ArchiveQuery, DiffQuery, FilePage, FileQuery, FilesQuery } from '../../../contracts/sessions/files.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions } from '../transport.js';
import { Resource } from './resource.js';

/** Sessions with Claude. The `id` of each method is the UUID or the name of a session. */
export class Sessions extends Resource {
  /** Lists sessions, those with the newest tasks first. */
  list(query: SessionsQuery = {}, options: CallOptions = {}): Listing<SessionPage> {
    return listing(this.transport, 'sessions', query, options);
  }

  /** Gets a session with the number and usage of its tasks. @throws {KsiError} `session_not_found` */
  get(id: string, options: CallOptions = {}): Promise<Session> {
    return this.transport.call('session', { id }, options);
  }

  /** Gets the transcript as text: JSON lines as Claude Code stores them, or Markdown. @throws {KsiError} `session_not_found` */
  transcript(id: string, query: TranscriptQuery = {}, options: CallOptions = {}): Promise<string> {
    return this.transport.call('session_transcript', { id, ...query }, options);
  }

  /** Exports a session with the transcripts of its subagents. @throws {KsiError} `session_not_found` */
  export(id: string, options: CallOptions = {}): Promise<SessionExport> {
    return this.transport.call('session_export', { id }, options);
  }

  /** Lists the files in the working folder. @throws {KsiError} `workspace_not_found`, `file_not_found`, `worker_unreachable` */
  files(id: string, query: FilesQuery = {}, options: CallOptions = {}): Listing<FilePage> {
    return listing(this.transport, 'session_files', { id, ...query }, options);
  }

  /** Reads a file in the working folder. @throws {KsiError} `workspace_not_found`, `file_not_found`, `worker_unreachable` */
  file(id: string, query: FileQuery, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return this.transport.call('session_file', { id, ...query }, options);
  }

  /** Downloads the working folder, or a folder in it, as a tar archive. @throws {KsiError} as `file`, `files_too_large` */
  archive(id: string, query: ArchiveQuery = {}, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return this.transport.call('session_archive', { id, ...query }, options);
  }

  /** Gets the uncommitted changes, as `git diff` prints them. @throws {KsiError} as `file`, `not_a_repository`, `files_too_large` */
  async diff(id: string, query: DiffQuery = {}, options: CallOptions = {}): Promise<string> {
    return new Response(await this.transport.call('session_diff', { id, ...query }, options)).text();
  }

  /** Imports an exported session. You become its owner. @throws {KsiError} `session_exists` */
  import(session: SessionExport, options: CallOptions = {}): Promise<ImportAnswer> {
    return this.transport.call('session_import', session, options);
  }

  /**
   * Deletes a session with its transcript, working folders and tasks.
   * @returns the folders that workers have not deleted yet. Undefined if there are none. @throws {KsiError} `session_not_found`, `not_ended`
   */
  delete(id: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.transport.call('session_delete', { id }, options);
  }
}
