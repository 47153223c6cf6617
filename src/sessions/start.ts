import type { Logger } from 'pino';
import type { Blobs } from '../broker/blobs.js';
import type { Broker } from '../broker/connect.js';
import type { ReadModel } from '../store/read-model.js';
import { SessionNames } from './names.js';
import { SessionRecords } from './records.js';
import { SessionFiles } from './files/files.js';
import { sourceFinder } from './files/source.js';
import { Sessions } from './sessions.js';
import { Transcripts } from './transcripts.js';

export interface SessionsOptions {
  readonly broker: Broker;
  readonly blobs: Blobs;
  readonly model: ReadModel;
  readonly log: Logger;
}

export type SessionsService = ReturnType<typeof sessionsOf>;

/** Runs nothing in the background, so there is nothing to stop. */
export function sessionsOf({ broker, blobs, model, log }: SessionsOptions) {
  const records = new SessionRecords(broker, log);
  const names = new SessionNames(broker, log);
  const sessions = new Sessions(model, new Transcripts(broker, blobs), records, names);
  return { records, names, sessions, files: new SessionFiles(sourceFinder({ broker, model, sessions })) };
}
