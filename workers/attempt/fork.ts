import { forkSession, type SessionStore } from '@anthropic-ai/claude-agent-sdk';
import { TaskFault } from './fault.js';

/**
 * Begins a session with what another one holds at the moment, by the SDK's own fork: its messages get ids of their own.
 * @param from the session that it goes on from. @param to the new one's transcript.
 * @throws {TaskFault} when there is nothing to go on from.
 */
export async function forkTranscript(
  from: { readonly sessionId: string; readonly transcript: Pick<SessionStore, 'load'> },
  to: { readonly sessionId: string; readonly transcript: Pick<SessionStore, 'append'> },
  cwd: string,
): Promise<void> {
  const entries = await from.transcript.load({ projectKey: '', sessionId: from.sessionId });
  if (entries === null)
    throw new TaskFault('session_gone', `The session ${from.sessionId} holds nothing to go on from`);
  await forkSession(from.sessionId, {
    dir: cwd,
    sessionStore: {
      load: () => Promise.resolve(entries),
      // The SDK picks an id for the fork; it has one already.
      append: (key, forked) =>
        to.transcript.append(
          { ...key, sessionId: to.sessionId },
          forked.map((entry) => ('sessionId' in entry ? { ...entry, sessionId: to.sessionId } : entry)),
        ),
    },
  });
}
