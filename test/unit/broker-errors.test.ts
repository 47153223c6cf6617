import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brokerErrorOf, isUndecided, type ApiFault, type BrokerErrorKind } from '../../src/broker/errors.js';

const CASES: readonly (ApiFault & { kind: BrokerErrorKind; undecided?: true })[] = [
  { err_code: 10071, code: 400, description: 'wrong last sequence: 7', kind: 'conflict' },
  { err_code: 10164, code: 400, description: 'wrong last sequence', kind: 'conflict', undecided: true },
  {
    err_code: 10158,
    code: 409,
    description: 'duplicate message id is in process',
    kind: 'unavailable',
    undecided: true,
  },
  { err_code: 10176, code: 400, description: 'atomic publish batch is incomplete', kind: 'unavailable' },
  { err_code: 0, code: 503, description: 'raft: not leader', kind: 'unavailable' },
  { err_code: 10077, code: 503, description: 'maximum bytes exceeded', kind: 'full' },
  { err_code: 10077, code: 503, description: 'store is closed', kind: 'unavailable' },
  { err_code: 10023, code: 503, description: 'insufficient resources', kind: 'full' },
  { err_code: 10025, code: 400, description: 'invalid JSON', kind: 'refused' },
];

describe("the broker's errors", () => {
  for (const { kind, undecided = false, ...fault } of CASES)
    it(`${fault.err_code} (${fault.description}) is ${kind}`, () => {
      const error = brokerErrorOf(fault);
      assert.deepEqual([error.kind, isUndecided(error)], [kind, undecided]);
    });
});
