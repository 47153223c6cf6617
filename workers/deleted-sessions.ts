import type { Logger } from 'pino';
import { STREAM, SUBJECT } from '../contracts/names.js';
import type { Broker } from '../src/broker/connect.js';
import { lastBySubject } from '../src/broker/read.js';
import type { Folders } from './claude/folders.js';

/** Removes the working folders of sessions that were deleted: while the worker runs, and at its start those deleted before. */
export class DeletedSessions {
  readonly #broker: Broker;
  readonly #folders: Pick<Folders, 'sessions' | 'forget'>;
  readonly #log: Logger;
  readonly #removing = new Set<Promise<void>>();
  #stopping = false;
  #unsubscribe: (() => void) | undefined;

  constructor(broker: Broker, folders: Pick<Folders, 'sessions' | 'forget'>, log: Logger) {
    this.#broker = broker;
    this.#folders = folders;
    this.#log = log;
  }

  start(): void {
    const subscription = this.#broker.nc.subscribe(SUBJECT.sessionDeleted('*'), {
      callback: (_error, { subject }) => this.#track(this.#folders.forget(subject.split('.')[3] ?? '')),
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    this.#track(this.#catchUp());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#unsubscribe?.();
    await Promise.all(this.#removing);
  }

  async #catchUp(): Promise<void> {
    for (const sessionId of await this.#folders.sessions()) {
      if (this.#stopping) return;
      const deleted = await lastBySubject(this.#broker, STREAM.events, SUBJECT.sessionDeleted(sessionId));
      // One of that name that was begun again has a transcript.
      const again = await lastBySubject(this.#broker, STREAM.transcripts, SUBJECT.transcript(sessionId));
      if (deleted !== undefined && again === undefined) await this.#folders.forget(sessionId);
    }
  }

  #track(work: Promise<void>): void {
    const removing = work
      .catch((error: unknown) => this.#log.warn({ err: error }, 'the folder of a deleted session could not be removed'))
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }
}
