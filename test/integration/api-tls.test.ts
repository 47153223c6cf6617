import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { startApi, type Api } from '../../src/api/start.js';
import { ConfigError, readConfig } from '../../src/config/load.js';
import { freePort, startTestBroker, type TestBroker } from '../fixtures/broker.js';
import { silent } from '../fixtures/connection.js';
import { REPO_ROOT } from '../fixtures/paths.js';

const PAIRS = join(REPO_ROOT, 'test', 'fixtures', 'tls');

describe('an API with a certificate', () => {
  let server: TestBroker;
  let dir: string;
  let api: Api;
  const install = async (pair: 'one' | 'two'): Promise<void> => {
    await copyFile(join(PAIRS, `${pair}.cert.pem`), join(dir, 'cert.pem'));
    await copyFile(join(PAIRS, `${pair}.key.pem`), join(dir, 'key.pem'));
  };
  const start = async (env: Record<string, string>): Promise<Api> =>
    startApi({
      config: readConfig({ KSI_DIR: dir, KSI_PORT: String(await freePort()), KSI_NATS_URL: server.url, ...env }),
      token: 'test-token',
      version: '0.0.0',
      log: silent,
      signal: new AbortController().signal,
    });
  before(async () => {
    server = await startTestBroker({ sync: '1s' });
    dir = await mkdtemp(join(tmpdir(), 'ksi-tls-'));
    await install('one');
    const files = { KSI_TLS_CERT: join(dir, 'cert.pem'), KSI_TLS_KEY: join(dir, 'key.pem') };
    api = await start({ KSI_HOST: '0.0.0.0', ...files });
  });
  after(async () => {
    await api.stop();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  });

  /** Who the certificate is for, and the answer's status. */
  const ask = (ca: Buffer): Promise<{ status: number | undefined; organisation: string; hsts: unknown }> =>
    new Promise((resolve, reject) => {
      const url = api.url.replace('0.0.0.0', '127.0.0.1');
      const headers = { authorization: 'Bearer test-token' };
      httpsRequest(`${url}/tasks`, { ca, headers, agent: false }, (answer) => {
        const { O } = (answer.socket as TLSSocket).getPeerCertificate().subject;
        answer.resume();
        resolve({
          status: answer.statusCode,
          organisation: String(O),
          hsts: answer.headers['strict-transport-security'],
        });
      })
        .on('error', reject)
        .end();
    });

  it('serves HTTP and WebSocket with it, and a new one without a restart', async () => {
    const [one, two] = [await readFile(join(PAIRS, 'one.cert.pem')), await readFile(join(PAIRS, 'two.cert.pem'))];
    const first = await ask(one);
    assert.deepEqual([first.status, first.organisation], [200, 'one']);
    assert.match(String(first.hsts), /max-age/);
    const socket = new WebSocket(`${api.url.replace('https', 'wss').replace('0.0.0.0', '127.0.0.1')}/events`, {
      ca: one,
      headers: { authorization: 'Bearer test-token' },
    });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    await install('two');
    for (;;) {
      const next = await ask(Buffer.concat([one, two]));
      if (next.organisation === 'two') break;
    }
    assert.equal(socket.readyState, WebSocket.OPEN, 'connections that are open stay');
    socket.terminate();
  });

  it('refuses a certificate without a key, missing files, and plaintext on other addresses', async () => {
    const refused = (env: Record<string, string>, why: RegExp): Promise<void> =>
      assert.rejects(start(env), (error) => error instanceof ConfigError && why.test(error.message));
    await refused({ KSI_TLS_CERT: join(dir, 'cert.pem') }, /both or neither/);
    await refused({ KSI_TLS_CERT: join(dir, 'none.pem'), KSI_TLS_KEY: join(dir, 'key.pem') }, /none\.pem/);
    await refused({ KSI_HOST: '0.0.0.0' }, /KSI_ALLOW_PLAINTEXT=yes/);
    await (await start({ KSI_HOST: '0.0.0.0', KSI_ALLOW_PLAINTEXT: 'yes' })).stop();
  });

  it("is not had by a worker's probes, which therefore stay on this machine", async () => {
    const worker = spawn(process.execPath, [join(REPO_ROOT, 'dist', 'workers', 'main.js')], {
      env: {
        KSI_DIR: dir,
        KSI_NATS_URL: server.url,
        KSI_HOST: '0.0.0.0',
        KSI_METRICS_PORT: '0',
        KSI_TLS_CERT: join(dir, 'cert.pem'),
        KSI_TLS_KEY: join(dir, 'key.pem'),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let output = '';
    worker.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(worker, 'close')) as [number];
    assert.equal(code, 1);
    assert.match(output, /KSI_HOST="0\.0\.0\.0".*KSI_ALLOW_PLAINTEXT=yes/);
  });
});
