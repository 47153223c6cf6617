import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { createUser } from '@nats-io/nkeys';
import { KsiClient, KsiUnreachableError } from '../../src/client/index.js';
import { KsiNatsClient } from '../../src/client/nats/index.js';

const URL_OF_API = 'http://127.0.0.1:8000';
const SERVER = 'nats://127.0.0.1:4222';
const seed = new TextDecoder().decode(createUser().getSeed());

describe('the options of a client', () => {
  it('are checked when it is created, without showing a secret', () => {
    const token = 'ksi_secret';
    const wrong: [() => unknown, RegExp][] = [
      [() => new KsiClient({ url: '127.0.0.1:8000', token }), /http:\/\/ or https:\/\/.*127\.0\.0\.1:8000"$/],
      [() => new KsiClient({ url: 'localhost:8000', token }), /http:\/\/ or https:\/\//],
      [() => new KsiClient({ url: 'http://', token }), /valid/],
      [() => new KsiClient({ url: 'http://me:secret@127.0.0.1', token }), /password/],
      [() => new KsiClient({ url: `${URL_OF_API}/?x=1`, token }), /query/],
      [() => new KsiClient({ url: URL_OF_API, token: ' \n' }), /token is empty/],
      [() => new KsiClient({ url: URL_OF_API, token: 'secret\nsecret' }), /token has a character/],
      [() => new KsiClient({ url: URL_OF_API, token: 'secrét' }), /token has a character/],
      [() => new KsiClient({ url: URL_OF_API, token, retries: -1 }), /retries/],
      [() => new KsiNatsClient({ servers: 'http://127.0.0.1:4222' }), /nats:\/\/ or tls:\/\//],
      [() => new KsiNatsClient({ servers: 'nats://me:secret@' }), /invalid address/],
      [() => new KsiNatsClient({ servers: SERVER, credentials: '.ksi/nats/secret.nk' }), /NKey seed/],
      [() => new KsiNatsClient({ servers: SERVER, credentials: `${seed.slice(0, -1)}1` }), /NKey seed/],
      [() => new KsiNatsClient({ servers: SERVER, inboxPrefix: '_INBOX.>' }), /inboxPrefix/],
    ];
    for (const [create, message] of wrong)
      assert.throws(create, (error) => {
        assert.ok(error instanceof TypeError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    assert.doesNotThrow(
      () =>
        new KsiNatsClient({
          servers: ['127.0.0.1:4222', SERVER],
          credentials: `${seed}\n`,
          inboxPrefix: '_INBOX_operator',
        }),
    );
  });

  it('a token is read without the newline at its end', async () => {
    const tokens: (string | undefined)[] = [];
    const server = createServer(({ headers }, answer) => {
      tokens.push(headers.authorization);
      answer.setHeader('content-type', 'application/json').end('{"items":[]}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await using client = new KsiClient({ url: ` http://127.0.0.1:${port}/ `, token: 'secret\n' });
    await client.tasks.list();
    assert.deepEqual(tokens, ['Bearer secret']);
    server.close();
  });

  it('an API that does not answer is reported with the reason', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    for (const [url, reason] of [
      [`http://127.0.0.1:${port}`, /ECONNREFUSED/],
      ['http://127.0.0.1:1', /bad port/],
    ] as const) {
      await using client = new KsiClient({ url, token: 'x' });
      await assert.rejects(Promise.resolve(client.tasks.list({}, { onRetry: assert.fail })), (error) => {
        assert.ok(error instanceof KsiUnreachableError, String(error));
        assert.match(error.message, reason);
        return true;
      });
    }
  });
});
