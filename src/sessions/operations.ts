import type { SESSION_OPERATIONS } from '../../contracts/sessions/operations.js';
import type { Handlers } from '../access/handlers.js';
import type { Broker } from '../broker/connect.js';
import type { Sessions } from './sessions.js';

interface SessionHandling {
  readonly sessions: Sessions;
  readonly broker: Pick<Broker, 'clock'>;
}

export const sessionHandlers = ({ sessions, broker }: SessionHandling): Handlers<typeof SESSION_OPERATIONS> => ({
  sessions: (query, { principal }) => sessions.page(query, principal),
  session: ({ id }, { principal }) => sessions.one(id, principal),
  session_transcript: ({ id, format = 'jsonl' }, { principal }) => sessions.transcript(id, format, principal),
  session_export: ({ id }, { principal }) => sessions.export(id, principal),
  session_import: (exported, { principal }) => sessions.import(exported, principal, broker.clock.now()),
});
