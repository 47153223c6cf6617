import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { API_ERRORS, isRetryable, isTransientCode, type ApiErrorCode } from '../../contracts/wire/errors.js';
import { BrokerError, codeOf, isTransient, type BrokerErrorKind } from '../../src/broker/errors.js';
import type { Delivery } from '../../src/broker/consume.js';
import { apiErrorOf } from '../../src/errors/api-error.js';
import { handleDelivery } from '../../src/errors/handle-delivery.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
/** A judgement that a failure passes, by anything but the table of errors. */
const JUDGES =
  /isBrokerError\([^()]*, '(unavailable|full)'\)|error\.kind [!=]== '(unavailable|full|refused)'|code [!=]== '(internal|broker_unavailable|disk_full|queue_full)'|\.status (< 500|=== 503)/;
/** Lines that ask another question. */
const OTHER_QUESTIONS: Readonly<Record<string, string>> = {
  'workers/attempt/attempt.ts': 'is it a fault of KSI, which its log must show?',
  'src/broker/errors.ts': 'maps answers of the broker to codes of the table',
  'src/agents/shared/shared-state.ts': 'is it unknown whether the write is stored?',
  'src/agents/message-sender.ts': 'is it unknown whether the write is stored?',
  'src/tasks/accept/acceptor.ts': 'is it unknown whether the write is stored, or is the disk full?',
  'src/api/call-idempotency.ts': 'whether a request was refused before it did anything',
  'src/broker/deferred-writes.ts': 'is the connection lost, or only an acknowledgement?',
  'src/broker/session-queue.ts': 'would the next session meet the same failure?',
  'src/retention/retention.ts': 'would the next session meet the same failure?',
  'src/retention/delete-unaccepted.ts': 'would the next task meet the same failure?',
};

const afterTries = async (count: number, error: unknown): Promise<'given up' | 'again'> => {
  let end: 'given up' | 'again' | undefined;
  const delivery: Delivery = {
    subject: 's',
    reply: 'r',
    data: new Uint8Array(),
    receivedAt: 0,
    seq: 1,
    count,
    header: () => '',
    ack: () => ((end = 'given up'), Promise.resolve()),
    renew: () => Promise.resolve(),
    nak: () => void (end = 'again'),
  };
  await handleDelivery({
    delivery,
    handle: () => Promise.reject(error),
    says: { again: '', givenUp: '' },
    log: pino({ level: 'silent' }),
  });
  return end ?? assert.fail('neither acknowledged nor given back');
};

describe('whether a retry may help', () => {
  it('depends only on the table of errors', () => {
    const judges = new Set<string>();
    for (const tree of ['src', 'workers'])
      for (const name of readdirSync(join(ROOT, tree), { recursive: true, encoding: 'utf8' }))
        if (name.endsWith('.ts') && JUDGES.test(readFileSync(join(ROOT, tree, name), 'utf8')))
          judges.add(join(tree, name));
    assert.deepEqual([...judges].toSorted(), Object.keys(OTHER_QUESTIONS).toSorted());
  });

  it('depends on the code of a broker failure in the table', () => {
    const kinds: Record<BrokerErrorKind, ApiErrorCode> = {
      conflict: 'conflict',
      duplicate: 'internal',
      full: 'queue_full',
      limit: 'too_many',
      unavailable: 'broker_unavailable',
      unreadable: 'record_unreadable',
      refused: 'internal',
    };
    for (const [kind, code] of Object.entries(kinds)) {
      const error = new BrokerError(kind as BrokerErrorKind, 'no');
      assert.equal(codeOf(error), code);
      assert.equal(isTransient(error), isTransientCode(code));
      assert.deepEqual([apiErrorOf(error).code, apiErrorOf(error).retryable], [code, isRetryable(code)]);
    }
    assert.deepEqual(
      Object.keys(API_ERRORS).filter(
        (code) => isRetryable(code as ApiErrorCode) && !isTransientCode(code as ApiErrorCode),
      ),
      ['internal'],
    );
  });

  it('decides whether a delivery can be given up', async () => {
    const transient = [
      new BrokerError('unavailable', ''),
      new BrokerError('conflict', ''),
      new BrokerError('full', ''),
    ];
    for (const error of transient) assert.equal(await afterTries(10_000, error), 'again');
    for (const error of transient) assert.equal(await afterTries(10_000, apiErrorOf(error)), 'again');
    const others = [new BrokerError('unreadable', ''), new BrokerError('refused', ''), new TypeError('a defect')];
    for (const error of others) {
      assert.equal(await afterTries(19, error), 'again');
      assert.equal(await afterTries(20, error), 'given up');
    }
  });
});
