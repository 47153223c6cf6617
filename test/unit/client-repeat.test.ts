import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KsiError, KsiUnreachableError } from '../../src/client/errors.js';
import { pauseAfter, repeated } from '../../src/client/repeat.js';

const most = (): number => 1;
const broken = new KsiUnreachableError('http://x', new TypeError('fetch failed', { cause: { code: 'ECONNRESET' } }));
const refused = new KsiUnreachableError('http://x', new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }));
const answered = (status: number, retryAfter?: number) => new KsiError(status, undefined, retryAfter);

describe('a request whose answer is lost', () => {
  it('is repeated after a pause that grows and is no shorter than Retry-After', () => {
    const cases: [unknown, number, number | undefined][] = [
      [broken, 0, 200],
      [broken, 4, 3_200],
      [broken, 5, undefined],
      [refused, 0, undefined],
      [refused, 1, 400],
      [answered(503), 0, 200],
      [answered(503, 2), 0, 2_000],
      [answered(503, 30), 0, 30_000],
      [answered(503, 31), 0, undefined],
      [answered(502), 0, 200],
      [answered(504), 0, 200],
      [answered(500), 0, undefined],
      [answered(429, 1), 0, undefined],
      [answered(409), 0, undefined],
      [new Error('another'), 0, undefined],
    ];
    for (const [error, repeats, expected] of cases)
      assert.equal(pauseAfter(error, repeats, most), expected, `${String(error)} ${repeats}`);
  });

  it('is given up with the last error, or the reason of the signal', async () => {
    const stop = new AbortController();
    let tries = 0;
    const failing = async (): Promise<never> => {
      tries += 1;
      throw broken;
    };
    const retries = repeated(failing, { signal: stop.signal, onRetry: () => stop.abort(new Error('enough')) });
    await assert.rejects(retries, { message: 'enough' });
    assert.equal(tries, 1);
    await assert.rejects(
      repeated(async () => Promise.reject(refused), {}),
      refused,
    );
  });
});
