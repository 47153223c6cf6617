import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConversationRecord } from '../../contracts/conversations/conversations.js';
import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import { ApiError } from '../../src/errors/api-error.js';
import { ConversationReconciler, type ReconcilerOptions } from '../../src/conversations/reconciler.js';
import { systemClock } from '../../src/clock.js';
import { newRecord } from '../../src/conversations/create.js';
import { transition } from '../../src/conversations/transition.js';
import { silent } from '../fixtures/connection.js';

const ID = '0199a1b2-c3d4-7e5f-8a6b-123456789abc';

/** Refuses the first registration of an agent. @returns the status of the conversation after the first and the second reconciliation. */
async function afterRefusal(refusal: Error): Promise<[string, string]> {
  const now = Date.now();
  const begun = newRecord({ topic: 'x', mode: 'debate' }, { conversationId: ID, owner: 'ann', tokenId: 't', now });
  let record: ConversationRecord = transition(begun, { kind: 'begin' }, now)?.record ?? assert.fail();
  let refusals = 1;
  const reconciler = new ConversationReconciler({
    broker: { clock: systemClock, connected: () => true },
    records: {
      get: async () => record,
      update: async (_key: unknown, change: (entry: object) => Promise<ConversationRecord | undefined>) => {
        record = (await change({ record })) ?? record;
        return { record };
      },
    },
    lines: { put: async () => undefined, read: async () => [] },
    outbox: { publish: async () => new Set(record.pending.map(({ id }) => id)) },
    mailer: { send: async () => undefined },
    agents: {
      register: async () => {
        if (refusals-- > 0) throw refusal;
        return 'session';
      },
      remove: async () => undefined,
      cancel: async () => undefined,
    },
    log: silent,
  } as unknown as ReconcilerOptions);
  const statuses = [];
  for (let round = 1; round <= 2; round++) {
    reconciler.reconcile(ID);
    await reconciler.settled(ID);
    statuses.push(record.status);
  }
  await reconciler.stop();
  return statuses as [string, string];
}

describe('a conversation whose action fails', () => {
  const errors = (Object.keys(API_ERRORS) as ApiErrorCode[]).map(
    (code) => new ApiError(code, 'x', code === 'budget_exceeded' ? { retryAfter: 60 } : {}),
  );

  it('continues if the error is retryable', async () => {
    for (const error of errors.filter(({ retryable }) => retryable))
      assert.deepEqual(await afterRefusal(error), ['running', 'running'], error.code);
    assert.ok(errors.some(({ code, retryable }) => code === 'conflict' && retryable));
  });

  it('ends if a retry would be refused again, and when its budget is used up', async () => {
    const final = [...errors.filter(({ retryable }) => !retryable), new ApiError('budget_exceeded', 'spent for good')];
    for (const error of final) assert.deepEqual(await afterRefusal(error), ['ended', 'ended'], error.code);
  });
});
