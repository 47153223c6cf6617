import assert from 'node:assert/strict';
import { connect as dial } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectBroker } from '../../src/broker/connect.js';
import { inboxPrefix } from '../../src/cluster/secrets.js';
import { readConfig } from '../../src/config/load.js';
import { makeStreams, silent } from '../fixtures/connection.js';
import { startKsiBroker, type KsiBroker } from '../fixtures/ksi-broker.js';
import { REPO_ROOT } from '../fixtures/paths.js';

const file = (name: string): string => join(REPO_ROOT, 'test', 'fixtures', 'tls', `${name}.pem`);
const TLS = {
  KSI_NATS_TLS_CERT: file('one.cert'),
  KSI_NATS_TLS_KEY: file('one.key'),
  KSI_NATS_TLS_CA: file('one.cert'),
};

for (const servers of [1, 3] as const)
  describe(`a broker of ${servers} with a certificate`, () => {
    let server: KsiBroker;
    before(async () => {
      server = await startKsiBroker(servers, TLS);
    });
    after(() => server.stop());

    const connect = (url: string, caFile: string) =>
      connectBroker({
        url,
        name: 'api',
        credentialsFile: server.seed('api'),
        inboxPrefix: inboxPrefix('api'),
        caFile,
        log: silent,
      });

    it('is reached by tls:// and known by its certificate', async () => {
      assert.match(server.url, /^tls:/);
      const broker = await connect(server.url, TLS.KSI_NATS_TLS_CA);
      await makeStreams(broker, readConfig({ KSI_NATS_SERVERS: String(servers) }));
      await broker.close();
    });

    it('is not taken for ours with the certificate of another, or of nobody known', async () => {
      await assert.rejects(server.connect('api', { caFile: file('two.cert') }), /self-signed|certificate/);
      await assert.rejects(server.connect('api', {}), /self-signed|certificate/);
    });

    it('serves nobody without TLS', async () => {
      const { hostname, port } = new URL(server.url.split(',')[0] ?? '');
      assert.match(await plaintext(hostname, Number(port)), /Secure Connection - TLS Required|^$/);
    });
  });

describe('a broker without a certificate', () => {
  it('is not taken for one that has', async () => {
    const server = await startKsiBroker();
    await assert.rejects(server.connect('api', { caFile: TLS.KSI_NATS_TLS_CA }), /tls/i);
    await server.stop();
  });

  it('is refused half of what TLS takes', () =>
    assert.rejects(startKsiBroker(1, { KSI_NATS_TLS_CERT: TLS.KSI_NATS_TLS_CERT }), /give all three, or none/));
});

/** What a server says, after its greeting, to a client that goes on in plaintext. */
function plaintext(host: string, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const socket = dial(port, host, () => socket.write('CONNECT {"verbose":true}\r\nPING\r\n'));
    socket.on('data', (data) => (output += data.toString('latin1').replace(/^INFO .*\r\n/, '')));
    socket.on('error', reject);
    socket.on('close', () => resolve(output));
  });
}
