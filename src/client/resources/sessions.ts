import type { DeletionPending } from '../../../contracts/retention/deletion.js';
import type {
  ImportAnswer,
  Session,
  SessionExport,
  SessionPage,
  SessionsQuery,
  TranscriptQuery,
} from '../../../contracts/sessions/sessions.js';
import { listing, type Listing } from '../listing.js';
import type { CallOptions, Transport } from '../transport.js';

/** Conversations. One is named by its UUID or its name. */
export class Sessions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Those with the newest tasks first. */
  list(query: SessionsQuery = {}, options: CallOptions = {}): Listing<SessionPage> {
    return listing(this.#transport, 'sessions', query, options);
  }

  /** Its tasks counted, and what they took. @throws {KsiError} `session_not_found` */
  get(id: string, options: CallOptions = {}): Promise<Session> {
    return this.#transport.call('session', { id }, options);
  }

  /** What was said: lines of JSON as Claude Code keeps them, or Markdown. @throws {KsiError} `session_not_found` */
  transcript(id: string, query: TranscriptQuery = {}, options: CallOptions = {}): Promise<string> {
    return this.#transport.call('session_transcript', { id, ...query }, options);
  }

  /** The whole of it, subagents included. @throws {KsiError} `session_not_found` */
  export(id: string, options: CallOptions = {}): Promise<SessionExport> {
    return this.#transport.call('session_export', { id }, options);
  }

  /** Makes a session of yours out of what was exported. @throws {KsiError} `session_exists` */
  import(session: SessionExport, options: CallOptions = {}): Promise<ImportAnswer> {
    return this.#transport.call('session_import', session, options);
  }

  /** Deletes one with its transcript, folders and tasks. @returns what hosts of workers have still to remove; undefined: nothing. @throws {KsiError} `session_not_found`, `not_ended` */
  delete(id: string, options: CallOptions = {}): Promise<DeletionPending | undefined> {
    return this.#transport.call('session_delete', { id }, options);
  }
}
