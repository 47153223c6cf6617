import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import { UnacceptedTasks } from '../../src/tasks/accept/unaccepted-tasks.js';
import { systemClock } from '../../src/clock.js';
import type { Broker } from '../../src/broker/connect.js';
import { BrokerError } from '../../src/broker/errors.js';
import type { Publication } from '../../src/broker/publish.js';
import { silent } from '../fixtures/connection.js';

const TASK = { task_id: '01a20820-0000-7000-8000-000000000000', session_id: 's', owner: 'local' };

/** `Promise.withResolvers` of later Node. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** The broker's answer that no message matches. */
const NOTHING = { error: { code: 404, err_code: 10_037, description: 'no message found' } };

describe('a task whose acceptance is unknown', () => {
  it('is cancelled once a stalled broker answers again, even if no connection was lost', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let asked = 0;
      const hung = deferred<void>();
      const published = deferred<Publication>();
      const broker = {
        connected: () => true,
        onConnection: () => () => undefined,
        clock: systemClock,
        publisher: {
          ask: async () => {
            if (++asked > 1) return NOTHING;
            // The next turn of the event loop: by then the retry is set.
            setImmediate(hung.resolve);
            throw new Error('timeout');
          },
          publish: async (publication: Publication) => {
            published.resolve(publication);
            return { stream: 'KSI_EVENTS', seq: 1, duplicate: false };
          },
        },
      } as unknown as Broker;
      const fates = new UnacceptedTasks(broker, silent);
      fates.later(TASK);
      await hung.promise;
      mock.timers.tick(1_000);
      const { subject, expect } = await published.promise;
      assert.match(subject, /\.state\.cancelled$/);
      assert.equal(expect?.seq, 0);
      await fates.stop();
    } finally {
      mock.timers.reset();
    }
  });

  it('does not wait for other tasks that cannot be settled', async () => {
    const settled = deferred<string>();
    const broker = {
      connected: () => true,
      onConnection: () => () => undefined,
      clock: { ...systemClock, after: (_ms: number, work: () => void) => systemClock.after(0, work) },
      publisher: {
        ask: async () => NOTHING,
        publish: async ({ subject }: Publication) => {
          settled.resolve(subject);
          return { stream: 'KSI_EVENTS', seq: 1, duplicate: false };
        },
      },
    } as unknown as Broker;
    const fates = new UnacceptedTasks(broker, silent);
    fates.later(TASK, async () => {
      throw new BrokerError('refused', 'its record cannot be read');
    });
    fates.later({ ...TASK, task_id: '01a20820-0000-7000-8000-000000000001' });
    assert.match(await settled.promise, /-000000000001\./);
    await fates.stop();
  });
});
