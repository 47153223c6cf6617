import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConversationRecord } from '../../contracts/conversations/conversations.js';
import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import { ApiError } from '../../src/errors/api-error.js';
import { Conductor, type ConductorOptions } from '../../src/conversations/conductor.js';
import { systemClock } from '../../src/clock.js';
import { recordFor } from '../../src/conversations/begin.js';
import { decide } from '../../src/conversations/decide.js';
import { silent } from '../fixtures/connection.js';

const ID = '0199a1b2-c3d4-7e5f-8a6b-123456789abc';

/** A conversation whose first agent cannot be made at first. @returns its status after that, and after another look. */
async function afterRefusal(refusal: Error): Promise<[string, string]> {
  const now = Date.now();
  const begun = recordFor({ topic: 'x', mode: 'debate' }, { conversationId: ID, owner: 'ann', tokenId: 't', now });
  let record: ConversationRecord = decide(begun, { kind: 'begin' }, now)?.record ?? assert.fail();
  let refusals = 1;
  const conductor = new Conductor({
    broker: { clock: systemClock, connected: () => true },
    records: {
      get: async () => record,
      update: async (_key: unknown, change: (entry: object) => Promise<ConversationRecord | undefined>) => {
        record = (await change({ record })) ?? record;
        return { record };
      },
    },
    lines: { put: async () => undefined, read: async () => [] },
    teller: { tell: async () => new Set(record.pending.map(({ id }) => id)) },
    mailer: { send: async () => undefined },
    cast: {
      register: async () => {
        if (refusals-- > 0) throw refusal;
        return 'session';
      },
      remove: async () => undefined,
      cancel: async () => undefined,
    },
    log: silent,
  } as unknown as ConductorOptions);
  const statuses = [];
  for (let look = 1; look <= 2; look++) {
    conductor.drive(ID);
    await conductor.settled(ID);
    statuses.push(record.status);
  }
  await conductor.stop();
  return statuses as [string, string];
}

describe('a conversation that meets an error', () => {
  const errors = (Object.keys(API_ERRORS) as ApiErrorCode[]).map(
    (code) => new ApiError(code, 'x', code === 'budget_exceeded' ? { retryAfter: 60 } : {}),
  );

  it('goes on when the error may pass, as the table of errors says', async () => {
    for (const error of errors.filter(({ retryable }) => retryable))
      assert.deepEqual(await afterRefusal(error), ['running', 'running'], error.code);
    assert.ok(errors.some(({ code, retryable }) => code === 'conflict' && retryable));
  });

  it('ends when the same would be refused again, and when its budget is spent for good', async () => {
    const final = [...errors.filter(({ retryable }) => !retryable), new ApiError('budget_exceeded', 'spent for good')];
    for (const error of final) assert.deepEqual(await afterRefusal(error), ['ended', 'ended'], error.code);
  });
});
