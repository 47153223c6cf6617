import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HEADER, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { firstIdAt } from '../../src/store/read-model.js';
import { LostCommands, SETTLED_AFTER_MS } from '../../src/tasks/lost-commands.js';
import { Sweeper } from '../../src/tasks/sweeper.js';
import { systemClock } from '../../src/clock.js';
import type { Broker } from '../../src/broker/connect.js';
import { BrokerError } from '../../src/broker/errors.js';
import { sweepSessions } from '../../src/broker/session-queue.js';
import { silent } from '../fixtures/connection.js';

const FIRST = '01a20820-0000-7000-8000-000000000001';
const SECOND = '01a20820-0000-7000-8000-000000000002';

describe('the sweeper', () => {
  it('ends overdue tasks even if the sessions cannot be swept, because they may fill the queue', async () => {
    const swept = new Promise<void>((resolve) => {
      const broker = {
        connected: () => true,
        clock: { ...systemClock, after: () => () => undefined },
        jsm: { streams: { info: async () => Promise.reject(new BrokerError('full', 'as the test wants it')) } },
      } as unknown as Broker;
      const expirer = {
        sweep: async () => {
          resolve();
          return 0;
        },
      };
      new Sweeper(broker, expirer, () => false, [], silent).start();
    });
    await swept;
  });

  it('does nothing after stop', async () => {
    let swept = 0;
    const broker = { connected: () => (swept++, true), clock: systemClock } as unknown as Broker;
    const sweeper = new Sweeper(broker, { sweep: async () => 0 }, () => false, [], silent);
    await sweeper.stop();
    sweeper.sweep();
    await sweeper.stop();
    assert.equal(swept, 0);
  });

  it('continues with the other sessions if one cannot be swept', async () => {
    const promoted: string[] = [];
    const broker = {
      jsm: {
        streams: {
          info: async () => ({
            state: { subjects: { [SUBJECT.waiting('q', 't1', FIRST)]: 1, [SUBJECT.waiting('q', 't2', SECOND)]: 1 } },
          }),
          deleteMessage: async () => true,
        },
      },
      publisher: {
        ask: async (verb: string, query: { last_by_subj?: string; next_by_subj?: string }) => {
          const filter = query.last_by_subj ?? query.next_by_subj ?? '';
          if (verb.endsWith(STREAM.events) || filter.includes('.spawn.'))
            return { error: { code: 404, err_code: 10_037 } };
          const session = filter.slice(filter.lastIndexOf('.') + 1);
          const hdrs = Buffer.from(`NATS/1.0\r\n${HEADER.taskId}: ${session}\r\n\r\n`).toString('base64');
          return {
            message: { seq: 1, subject: SUBJECT.waiting('q', session, session), hdrs, time: '2026-01-01T00:00:00Z' },
          };
        },
        publish: async ({ subject }: { subject: string }) => {
          if (subject.endsWith(FIRST)) throw new BrokerError('refused', 'as the test wants it');
          promoted.push(subject);
          return { stream: STREAM.commands, seq: 2, duplicate: false };
        },
      },
    } as unknown as Broker;
    await assert.rejects(sweepSessions(broker, new AbortController().signal), BrokerError);
    assert.deepEqual(promoted, [SUBJECT.run('q', 'next', SECOND)]);
  });
});

describe('the sweep of tasks with a lost command', () => {
  it('begins once pending commands are stored, and reads no task once all are settled', async () => {
    const made = '2026-01-01T00:00:00.000000001Z';
    let [now, asked] = [Date.parse(made), new Set<string>()];
    const broker = { clock: { ...systemClock, now: () => now } } as unknown as Broker;
    const list = async (_filter: object, _limit: number, before?: string) => {
      asked.add(before ?? '');
      return { rows: [], next: undefined };
    };
    const topology = { created: () => made };
    const lost = new LostCommands({ broker, model: { list }, topology, isReady: () => true, log: silent });
    const looksBefore = async (): Promise<string[]> => {
      asked = new Set();
      await lost.sweep(new AbortController().signal);
      return [...asked];
    };
    now += SETTLED_AFTER_MS - 1;
    assert.deepEqual(await looksBefore(), []);
    now += 1;
    assert.deepEqual(await looksBefore(), [firstIdAt(made)]);
    assert.deepEqual(await looksBefore(), []);
  });
});
