import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { ApiLab, TOKEN } from '../fixtures/api.js';

const UI = 'https://ui.example.org';

describe('pages of another origin', () => {
  let lab: ApiLab;
  before(async () => {
    lab = await ApiLab.start({ KSI_ALLOWED_ORIGINS: `${UI},https://two.example.org`, KSI_SPAWN_RATE: '5/hour' });
  });
  after(() => lab.stop());

  /** As a browser sends it, Origin and Host included. */
  const ask = async (
    method: string,
    path: string,
    headers: Record<string, string>,
    body = '',
  ): Promise<IncomingMessage & { body: string }> => {
    const outgoing = request(new URL(path, lab.url), { method, headers }).end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return Object.assign(answer, { body: await text(answer) });
  };
  const shared = ({ headers }: IncomingMessage): string[] =>
    Object.keys(headers).filter((name) => name.startsWith('access-control-'));
  const authorization = `Bearer ${TOKEN}`;
  const asks = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };

  it('that the operator allows may read answers, errors and rate limit headers', async () => {
    const json = { 'content-type': 'application/json' };
    const spawned = await ask('POST', '/spawn', { origin: UI, authorization, ...json }, '{"prompt":"x"}');
    assert.equal(spawned.statusCode, 202);
    assert.ok(spawned.headers['ratelimit'] !== undefined && spawned.headers.location !== undefined);
    for (const answer of [
      spawned,
      await ask('GET', '/tasks', { origin: UI }),
      await ask('GET', '/nowhere', { origin: UI, authorization }),
    ]) {
      assert.equal(answer.headers['access-control-allow-origin'], UI);
      assert.equal(answer.headers.vary, 'Origin');
      assert.equal(
        answer.headers['access-control-expose-headers'],
        'RateLimit, RateLimit-Policy, Retry-After, Location, ETag, X-Request-Id',
      );
      assert.equal(answer.headers['access-control-allow-credentials'], undefined);
    }
  });

  it('that the operator allows get preflight answers without a token', async () => {
    for (const path of ['/spawn', '/tasks/x', '/nowhere']) {
      const { statusCode, headers, body } = await ask('OPTIONS', path, { origin: 'https://two.example.org', ...asks });
      assert.deepEqual([statusCode, body], [204, '']);
      assert.equal(headers['access-control-allow-origin'], 'https://two.example.org');
      assert.equal(headers['access-control-allow-methods'], 'GET, POST, PUT, PATCH, DELETE');
      assert.equal(
        headers['access-control-allow-headers'],
        'authorization, content-type, idempotency-key, x-request-id, traceparent, last-event-id, if-match, if-none-match',
      );
      assert.equal(headers['access-control-max-age'], '600');
      assert.equal(headers['access-control-allow-credentials'], undefined);
    }
  });

  it('may follow a task by server-sent events', async () => {
    const task = await lab.spawn();
    await lab.finish(task);
    const accept = 'text/event-stream';
    const answer = await ask('GET', `/tasks/${task.task_id}/events`, { origin: UI, authorization, accept });
    assert.equal(answer.headers['access-control-allow-origin'], UI);
    assert.match(answer.body, /SPAWN_COMPLETE/);
  });

  it('that are not allowed get none of these headers, and neither does the same origin', async () => {
    const { host } = new URL(lab.url);
    for (const origin of ['https://evil.example', `${UI}.evil.example`, 'null'])
      for (const answer of [
        await ask('OPTIONS', '/spawn', { origin, ...asks }),
        await ask('GET', '/tasks', { origin, authorization }),
      ]) {
        assert.equal(answer.statusCode, 403, origin);
        assert.deepEqual(shared(answer), []);
      }
    const preflight = await ask('OPTIONS', '/spawn', { origin: `http://${host}`, authorization, ...asks });
    assert.deepEqual([preflight.statusCode, shared(preflight)], [405, []]);
    assert.deepEqual(shared(await ask('GET', '/tasks', { origin: `http://${host}`, authorization })), []);
    const elsewhere = await ask('OPTIONS', '/spawn', { host: 'evil.example', origin: UI, ...asks });
    assert.deepEqual([elsewhere.statusCode, shared(elsewhere)], [403, []]);
  });

  it('that send OPTIONS outside a preflight need a token', async () => {
    assert.equal((await ask('OPTIONS', '/spawn', { origin: UI })).statusCode, 401);
  });
});
