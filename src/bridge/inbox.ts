import type { InboxMessage } from '../../contracts/messages.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { KsiUnreachableError } from '../client/errors.js';
import type { Transport } from '../client/transport.js';

/** TEMPORARY, until the SDK attaches. */
export async function attach(
  ksi: Transport,
  id: string,
  signal: AbortSignal,
  take: (message: InboxMessage) => Promise<boolean>,
): Promise<void> {
  let after = 0;
  for (let tries = 0; !signal.aborted; ) {
    try {
      const { messages } = await ksi.call('inbox', { id, wait: 60, after }, { signal });
      tries = 0;
      for (const message of messages) {
        if (!(await take(message))) return;
        after = message.seq;
        await ksi.call('inbox_ack', { id, seq: message.seq }, { signal });
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof KsiUnreachableError)) throw error;
      await pause(pauseBefore(tries++), signal).catch(() => undefined);
    }
  }
}
