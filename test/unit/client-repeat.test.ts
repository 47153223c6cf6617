import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KsiError, KsiUnreachableError } from '../../src/client/errors.js';
import type { Route } from '../../src/client/http-request.js';
import { ROUTES } from '../../src/client/routes.generated.js';
import { pauseAfter, repeated } from '../../src/client/repeat.js';
import { problemOf } from './cli-fake-api.js';

const most = (): number => 1;
const failure = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });
const broken = new KsiUnreachableError('http://x', new TypeError('fetch failed', { cause: failure('ECONNRESET') }));
const refused = new KsiUnreachableError('http://x', new TypeError('fetch failed', { cause: failure('ECONNREFUSED') }));
const read = { route: ROUTES.task, request: {}, options: {}, retries: 2, retryRefused: false };
const answered = (status: number, retryAfter?: number) => new KsiError(status, undefined, retryAfter);

describe('a request whose answer is lost', () => {
  it('is repeated after growing pauses that are at least Retry-After', () => {
    const cases: [unknown, number, number | undefined, boolean?][] = [
      [broken, 0, 200],
      [broken, 4, 3_200],
      [refused, 0, undefined],
      [refused, 1, 400],
      [answered(503), 0, 200],
      [answered(503, 2), 0, 2_000],
      [answered(503, 30), 0, 30_000],
      [answered(503, 31), 0, undefined],
      [answered(502), 0, 200],
      [answered(504), 0, 200],
      [answered(500), 0, undefined],
      [broken, 0, undefined, false],
      [answered(503, 2), 0, undefined, false],
      [answered(429, 1), 0, 1_000, false],
      [answered(429, 31), 0, undefined],
      [answered(429), 0, 200],
      [new KsiError(429, { ...problemOf('budget_exceeded', 'Spent') }), 0, undefined],
      [answered(409), 0, undefined],
      [new Error('another'), 0, undefined],
    ];
    for (const [error, repeats, expected, safe = true] of cases)
      assert.equal(
        pauseAfter(error, { repeats, safe, retryRefused: false }, most),
        expected,
        `${String(error)} ${repeats} ${safe}`,
      );
  });

  it('is repeated when the first connection is refused, if the client asks for that, and never when it would fail again', () => {
    assert.equal(pauseAfter(refused, { repeats: 0, safe: false, retryRefused: true }, most), 200);
    const untrusted = new KsiUnreachableError(
      'https://x',
      new TypeError('fetch failed', { cause: failure('SELF_SIGNED_CERT_IN_CHAIN') }),
    );
    assert.equal(pauseAfter(untrusted, { repeats: 1, safe: true, retryRefused: true }, most), undefined);
    assert.match(untrusted.message, /SELF_SIGNED_CERT_IN_CHAIN$/);
  });

  it('is given up with the last error, or with the reason of the signal', async () => {
    const stop = new AbortController();
    let tries = 0;
    const failing = async (): Promise<never> => {
      tries += 1;
      throw broken;
    };
    const retries = repeated(failing, {
      ...read,
      options: { signal: stop.signal, onRetry: () => stop.abort(new Error('enough')) },
    });
    await assert.rejects(retries, { message: 'enough' });
    assert.equal(tries, 1);
    await assert.rejects(
      repeated(async () => Promise.reject(refused), read),
      refused,
    );
  });

  it('is repeated only if that is safe, and a limited number of times', async () => {
    const tries = async (
      operation: Route,
      options: { idempotencyKey?: string } = {},
      more: unknown[] = [],
      request: object = {},
    ) => {
      const errors: unknown[] = [answered(429), ...more];
      let requestCount = 0;
      await repeated(
        async () => {
          requestCount += 1;
          if (errors.length > 0) throw errors.shift();
        },
        { route: operation, request, options, retries: 2, retryRefused: false },
      ).catch(() => (requestCount = -requestCount));
      return requestCount;
    };
    assert.equal(await tries(ROUTES.interrupt), 2);
    assert.equal(await tries(ROUTES.interrupt, {}, [broken]), -2);
    for (const route of [ROUTES.spawn, ROUTES.input, ROUTES.token_create]) {
      assert.equal(await tries(route, {}, [broken]), 3, 'it has a key');
      assert.equal(await tries(route, { idempotencyKey: 'k' }, [broken]), 3);
    }
    assert.equal(await tries(ROUTES.send, {}, [broken]), -2);
    assert.equal(await tries(ROUTES.send, {}, [broken], { message_id: 'm' }), 3);
    assert.equal(await tries(ROUTES.task, {}, [broken, broken]), -3);
    assert.equal(await tries(ROUTES.task_delete, {}, [answered(404)]), 2, 'it was deleted by the first');
  });
});
