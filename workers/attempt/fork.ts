import { forkSession, type SessionStore } from '@anthropic-ai/claude-agent-sdk';
import { TaskFault } from './fault.js';

/**
 * Starts a session with a copy of another session's current transcript. The SDK's fork gives the messages new ids.
 * @param from the session to copy. @param to the new session.
 * @throws {TaskFault} session_gone: the session to copy has no transcript.
 */
export async function forkTranscript(
  from: { readonly sessionId: string; readonly transcript: Pick<SessionStore, 'load'> },
  to: { readonly sessionId: string; readonly transcript: Pick<SessionStore, 'append'> },
  cwd: string,
): Promise<void> {
  const entries = await from.transcript.load({ projectKey: '', sessionId: from.sessionId });
  if (entries === null) throw new TaskFault('session_gone', `The session ${from.sessionId} has no transcript to fork`);
  await forkSession(from.sessionId, {
    dir: cwd,
    sessionStore: {
      load: () => Promise.resolve(entries),
      // The SDK picks an id for the fork, but the new session already has one.
      append: (key, forked) =>
        to.transcript.append(
          { ...key, sessionId: to.sessionId },
          forked.map((entry) => ('sessionId' in entry ? { ...entry, sessionId: to.sessionId } : entry)),
        ),
    },
  });
}
