import { STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import { WorkspaceBinding } from '../../../contracts/tasks/workspace.js';
import type { Broker } from '../../broker/connect.js';
import { lastBySubject } from '../../broker/read.js';
import { recordIn } from '../../broker/records.js';
import { parseJson } from '../../json.js';

/** The workspace that a session is bound to; undefined: none, or its own folder. @throws {BrokerError} unreadable */
export async function boundWorkspace(broker: Broker, sessionId: string): Promise<string | undefined> {
  const subject = SUBJECT.sessionWorkspace(sessionId);
  const stored = await lastBySubject(broker, STREAM.transcripts, subject);
  return stored === undefined ? undefined : recordIn(WorkspaceBinding, parseJson(stored.data), subject).workspace;
}
