import type { SESSION_OPERATIONS } from '../../contracts/sessions/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Broker } from '../broker/connect.js';
import type { SessionFiles } from './files/files.js';
import type { Sessions } from './sessions.js';

interface SessionHandling {
  readonly sessions: Sessions;
  readonly files: SessionFiles;
  readonly broker: Pick<Broker, 'clock'>;
}

export const sessionHandlers = ({ sessions, files, broker }: SessionHandling): Handlers<typeof SESSION_OPERATIONS> => ({
  sessions: (query, { principal }) => sessions.page(query, principal),
  session: ({ id }, { principal }) => sessions.one(id, principal),
  session_transcript: ({ id, format = 'jsonl' }, { principal }) => sessions.transcript(id, format, principal),
  session_export: ({ id }, { principal }) => sessions.export(id, principal),
  session_files: (query, { principal }) => files.list(query, principal),
  session_file: (query, { principal }) => files.read(query, principal),
  session_archive: (query, { principal }) => files.archive(query, principal),
  session_diff: (query, { principal }) => files.diff(query, principal),
  session_import: (exported, { principal }) => sessions.import(exported, principal, broker.clock.now()),
});
