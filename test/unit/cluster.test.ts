import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { mirrorOf, parseDeb822, parseList } from '../../src/cluster/nats-server/apt-sources.js';
import { archiveName, sumIn } from '../../src/cluster/nats-server/release.js';
import { cachePath, resolveNatsServer } from '../../src/cluster/nats-server/resolve.js';
import { compareVersions, isNewEnough, versionIn } from '../../src/cluster/nats-server/version.js';
import { apiUrls, readJson } from '../../src/cluster/endpoints.js';
import { locate } from '../../src/cli/connection.js';
import { CliError } from '../../src/cli/exit.js';
import { clusterPaths, socketAddress } from '../../src/cluster/paths.js';
import { brokerSpecs, checkBrokerState } from '../../src/cluster/broker.js';
import { apiSpec, hasClaudeCredentials, workerSpec, type Plan } from '../../src/cluster/plan.js';
import { ensureNatsUsers, ensureToken, makeFolders } from '../../src/cluster/secrets.js';
import { readConfig } from '../../src/config/load.js';
import { lockFolder, lockHolder } from '../../src/process/folder-lock.js';
import { folderId } from '../../src/process/folder-id.js';
import { identify, isAlive } from '../../src/process/identity.js';
import { restartPause } from '../../src/process/restart-pause.js';

/** `count` processes that claim at the same moment; none ends before all have answered. @returns `mine` or `taken` of each. */
async function contenders(path: string, count: number): Promise<string[]> {
  const url = (module: string): string =>
    JSON.stringify(new URL(`../../src/process/${module}.js`, import.meta.url).href);
  const script = `
    const { lockFolder } = await import(${url('folder-lock')});
    const { identify } = await import(${url('identity')});
    console.log(lockFolder(process.argv[1], identify(process.pid)) === undefined ? 'mine' : 'taken');
    process.stdin.resume();`;
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const outputs = await Promise.all(
    children.map(async ({ stdout }) => String(((await once(stdout, 'data')) as [Buffer])[0])),
  );
  await Promise.all(
    children.map((child) => {
      child.stdin.end();
      return once(child, 'exit');
    }),
  );
  return outputs.map((line) => line.trim());
}

describe('versions of nats-server', () => {
  it('are parsed from its output and from package lists', () => {
    assert.equal(versionIn('nats-server: v2.15.1'), '2.15.1');
    assert.equal(versionIn('nats-server |   2.15.1-1 | http://deb.example/debian forky/main amd64 Packages'), '2.15.1');
    assert.equal(versionIn('no such thing'), undefined);
  });

  it('are compared as numbers, not as text', () => {
    assert.ok(compareVersions('2.9.0', '2.14.3') < 0);
    assert.ok(compareVersions('2.14.10', '2.14.3') > 0);
    assert.equal(compareVersions('2.14.3', '2.14.3'), 0);
    assert.ok(!isNewEnough('2.10.22'));
    assert.ok(isNewEnough('2.14.3'));
    assert.ok(isNewEnough('3.0.0'));
  });
});

describe("the machine's apt sources", () => {
  const deb822 = `Types: deb
# http://snapshot.example/
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb-src
URIs: http://deb.example/src
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://deb.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;

  it('are parsed from deb822 files', () => {
    const sources = parseDeb822(deb822);
    assert.deepEqual(sources, [
      {
        uri: 'http://deb.example/debian',
        suites: ['bookworm', 'bookworm-updates'],
        components: ['main'],
        signedBy: '/usr/share/keyrings/debian.gpg',
      },
      { uri: 'http://deb.example/debian-security', suites: ['bookworm-security'], components: ['main'] },
    ]);
  });

  it('are parsed from one-line lists', () => {
    const text = `# deb http://no.example x main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://deb.example/debian trixie main contrib # note
deb-src http://deb.example/debian trixie main
deb http://other.example/debian sid main`;
    assert.deepEqual(parseList(text), [
      {
        uri: 'http://deb.example/debian',
        suites: ['trixie'],
        components: ['main', 'contrib'],
        signedBy: '/usr/share/keyrings/x.gpg',
      },
      { uri: 'http://other.example/debian', suites: ['sid'], components: ['main'] },
    ]);
  });

  it('distinguish the mirror of the distribution from third parties', () => {
    const other = { uri: 'https://deb.other.example', suites: ['bookworm'], components: ['stable'] };
    const [main] = parseDeb822(deb822);
    assert.equal(mirrorOf([other, ...parseDeb822(deb822)], 'bookworm')?.uri, main?.uri);
    assert.equal(mirrorOf(parseDeb822(deb822), 'unheard')?.uri, main?.uri);
    assert.equal(mirrorOf([other], 'bookworm'), undefined);
  });
});

describe('the release of nats-server', () => {
  it('has builds for common platforms', () => {
    assert.match(archiveName('linux', 'x64') ?? '', /^nats-server-v[\d.]+-linux-amd64\.tar\.gz$/);
    assert.match(archiveName('darwin', 'arm64') ?? '', /darwin-arm64/);
    assert.equal(archiveName('aix', 'ppc64'), undefined);
  });

  it('has its hash in a list', () => {
    const hash = 'a'.repeat(64);
    assert.equal(sumIn(`${'b'.repeat(64)}  other\n${hash}  mine.tar.gz\n`, 'mine.tar.gz'), hash);
    assert.equal(sumIn(`${hash} *mine.tar.gz\n`, 'mine.tar.gz'), hash);
    assert.equal(sumIn('short  mine.tar.gz', 'mine.tar.gz'), undefined);
  });
});

describe('the search for a nats-server', () => {
  it('refuses a named executable that does not run', async () => {
    await assert.rejects(resolveNatsServer({ env: { KSI_NATS_SERVER: '/nowhere/nats-server' } }), {
      code: 'nats_server_unusable',
      message: /KSI_NATS_SERVER=\/nowhere\/nats-server/,
    });
  });

  it('caches a download for all clusters of a user', () => {
    assert.equal(cachePath({ HOME: '/home/a' }), '/home/a/.cache/ksi/nats-server');
    assert.equal(cachePath({ HOME: '/home/a', XDG_CACHE_HOME: '/c' }), '/c/ksi/nats-server');
  });
});

describe('restart pauses', () => {
  it('double from half a second to half a minute', () => {
    const pauses: number[] = [];
    for (let pause = 0; pauses.length < 8;) pauses.push((pause = restartPause(pause, 100, 30_000)));
    assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('start again after a healthy minute', () => {
    assert.equal(restartPause(30_000, 60_000, 30_000), 500);
    assert.equal(restartPause(30_000, 59_999, 30_000), 30_000);
  });
});

describe('a process', () => {
  it('is distinguished from a later process with the same pid', () => {
    const me = identify(process.pid);
    assert.ok(me !== undefined && isAlive(me));
    assert.ok(!isAlive({ ...me, started: 'another time' }));
    assert.equal(identify(2 ** 22 + 1), undefined);
  });
});

describe('addresses', () => {
  it('of an API are reachable for a client on this machine', () => {
    assert.deepEqual(apiUrls('0.0.0.0', 8000, false), {
      url: 'http://127.0.0.1:8000',
      ws: 'ws://127.0.0.1:8000/events',
    });
    assert.equal(apiUrls('::1', 8000, false).url, 'http://[::1]:8000');
    assert.equal(apiUrls('10.1.2.3', 8000, true).url, 'https://10.1.2.3:8000');
  });

  it('of the socket must be short; the refusal names the variable', () => {
    assert.equal(socketAddress('/a/b/.ksi/supervisor.sock', '/a/b'), '.ksi/supervisor.sock');
    assert.equal(socketAddress('/k/supervisor.sock', '/a/b/c/d/e/f'), '/k/supervisor.sock');
    assert.throws(() => socketAddress(`/${'x'.repeat(120)}/s`, '/'), { code: 'path_too_long', message: /KSI_DIR/ });
  });
});

describe("a cluster's processes", () => {
  const plan = (env: Record<string, string>): Plan => ({
    config: readConfig(env),
    env,
    paths: clusterPaths('/k'),
    entries: { api: 'api.js', worker: 'worker.js', bridge: 'bridge.js', standin: 'standin.js', natsConf: 'nats.conf' },
    ...(env['KSI_NATS_URL'] === undefined
      ? {
          broker: {
            executable: 'nats-server',
            servers: [{ port: 4222, monitorPort: 8222 }],
            routeSecret: 'secret',
            encryptionKey: '',
            keys: { api: 'UA', observer: 'UO', operator: 'UP' },
          },
        }
      : {}),
  });
  const secrets = { ANTHROPIC_API_KEY: 'sk-ant-secret', AWS_SECRET_ACCESS_KEY: 'aws', PATH: '/bin', KSI_TOKEN: 'mine' };

  it("get Claude's credentials only as workers", () => {
    const planned = plan(secrets);
    assert.equal(workerSpec(planned, 1).env['ANTHROPIC_API_KEY'], 'sk-ant-secret');
    for (const spec of [apiSpec(planned, 1), ...brokerSpecs(planned)]) {
      assert.ok(!JSON.stringify(spec.env).includes('sk-ant-secret'), spec.name);
      assert.ok(!JSON.stringify(spec.env).includes('aws'), spec.name);
      assert.equal(spec.env['PATH'], '/bin');
    }
    assert.equal(workerSpec(planned, 1).env['KSI_TOKEN'], undefined);
  });

  it('get their own addresses, credentials and names', () => {
    const planned = plan({ KSI_PORT: '9000', KSI_METRICS_PORT: '9100' });
    const api = apiSpec(planned, 2);
    assert.equal(api.env['KSI_PORT'], '9001');
    assert.equal(api.env['KSI_NATS_CREDENTIALS'], '/k/nats/api.nk');
    assert.equal(api.env['KSI_NATS_INBOX'], '_INBOX_api');
    assert.equal(api.env['KSI_PROCESS'], 'api-2');
    const worker = workerSpec(planned, 3);
    assert.equal(worker.env['KSI_NATS_URL'], 'nats://127.0.0.1:4222');
    assert.equal(worker.env['KSI_METRICS_PORT'], '9102');
    assert.equal(worker.env['KSI_NATS_CREDENTIALS'], '/k/nats/worker-3.nk');
  });

  it('know all servers of a broker cluster, and each server knows the others', () => {
    const [first, second, third] = [1, 2, 3].map((n) => ({
      port: 4221 + n,
      monitorPort: 8221 + n,
      routePort: 6221 + n,
    }));
    assert.ok(first && second && third);
    const alone = plan({});
    assert.ok(alone.broker);
    const planned: Plan = { ...alone, broker: { ...alone.broker, servers: [first, second, third] } };
    const url = 'nats://127.0.0.1:4222,nats://127.0.0.1:4223,nats://127.0.0.1:4224';
    assert.equal(workerSpec(planned, 1).env['KSI_NATS_URL'], url);
    const specs = brokerSpecs(planned);
    assert.deepEqual(
      specs.map(({ name, env }) => [name, env['KSI_NATS_CLUSTER_PORT'], env['KSI_NATS_STORE']]),
      [
        ['nats-1', '6222', '"/k/nats/store-1"'],
        ['nats-2', '6223', '"/k/nats/store-2"'],
        ['nats-3', '6224', '"/k/nats/store-3"'],
      ],
    );
    const routes = JSON.parse(specs[1]?.env['KSI_NATS_ROUTES'] ?? '') as string[];
    assert.equal(routes[2], 'nats-route://ksi:secret@127.0.0.1:6224');
    assert.equal(brokerSpecs(alone)[0]?.env['KSI_NATS_ROUTES'], '[]');
    // A worker runs Claude: it has no use for what lets a server join.
    assert.ok(!JSON.stringify([workerSpec(planned, 1), apiSpec(planned, 1)]).includes('secret'));
  });

  it("use the operator's broker and credentials if one is named", () => {
    const planned = plan({ KSI_NATS_URL: 'nats://far:4222', KSI_NATS_CREDENTIALS: '/mine.nk', KSI_NATS_INBOX: '_I' });
    assert.deepEqual(brokerSpecs(planned), []);
    const { env } = workerSpec(planned, 1);
    assert.equal(env['KSI_NATS_URL'], 'nats://far:4222');
    assert.equal(env['KSI_NATS_CREDENTIALS'], '/mine.nk');
    assert.equal(env['KSI_NATS_INBOX'], '_I');
  });

  it('do not reach a model in a demo', () => {
    const { env } = workerSpec({ ...plan({ ...secrets, CLAUDE_CODE_OAUTH_TOKEN: 't' }), standinPort: 1234 }, 1);
    assert.equal(env['ANTHROPIC_BASE_URL'], 'http://127.0.0.1:1234');
    assert.notEqual(env['ANTHROPIC_API_KEY'], 'sk-ant-secret');
    assert.equal(env['CLAUDE_CODE_OAUTH_TOKEN'], undefined);
  });

  it('are reported if they lack credentials', () => {
    assert.ok(!hasClaudeCredentials({ PATH: '/bin' }, readConfig({})));
    assert.ok(hasClaudeCredentials({ CLAUDE_CONFIG_DIR: '/c' }, readConfig({})));
  });
});

describe("a cluster's folder", () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-unit-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('holds secrets that are created once and are readable only by their user', async () => {
    const paths = clusterPaths(join(dir, 'a'));
    await makeFolders(paths);
    const first = await ensureNatsUsers(paths);
    assert.match(first.api, /^U[A-Z2-7]{55}$/);
    assert.deepEqual(await ensureNatsUsers(paths), first);
    await ensureToken(paths);
    const token = await readFile(paths.token, 'utf8');
    await ensureToken(paths);
    assert.equal(await readFile(paths.token, 'utf8'), token);
    assert.equal(Buffer.from(token.trim(), 'base64url').length, 32);
    assert.equal((await stat(paths.nats)).mode & 0o777, 0o700);
    for (const file of [paths.token, paths.seed('api')]) assert.equal((await stat(file)).mode & 0o777, 0o600);
  });

  it('holds a broker of one size, which cannot be used as the other', async () => {
    const paths = clusterPaths(join(dir, 'sizes'));
    const [one, three] = ['1', '3'].map((servers) => readConfig({ KSI_NATS_SERVERS: servers }));
    assert.ok(one && three);
    checkBrokerState(paths, one);
    checkBrokerState(paths, three);
    await mkdir(join(paths.natsStore(), 'jetstream'), { recursive: true });
    checkBrokerState(paths, one);
    assert.throws(() => checkBrokerState(paths, three), {
      code: 'other_broker',
      message: /NATS=1[\s\S]*store$|store\./,
    });
    await rename(paths.natsStore(), paths.natsStore(2));
    checkBrokerState(paths, three);
    assert.throws(() => checkBrokerState(paths, one), { code: 'other_broker', message: /KSI_DIR[\s\S]*store-2/ });
  });

  it('is locked by one living process at a time', async () => {
    const file = join(dir, 'claim');
    const me = identify(process.pid);
    const parent = identify(process.ppid);
    assert.ok(me !== undefined && parent !== undefined);
    assert.equal(lockFolder(file, { pid: process.ppid, started: 'before the reboot' }), undefined);
    assert.equal(lockFolder(file, parent), undefined);
    assert.deepEqual(lockFolder(file, me), parent);
    assert.deepEqual(lockHolder(file), parent);
  });

  it('is not locked by the holder of the folder that it was copied from', async () => {
    const [original, copy] = [join(dir, 'original'), join(dir, 'copy')];
    await mkdir(original);
    const parent = identify(process.ppid);
    const me = identify(process.pid);
    assert.ok(me !== undefined && parent !== undefined);
    lockFolder(join(original, 'claim'), parent);
    await cp(original, copy, { recursive: true });
    assert.equal(lockHolder(join(copy, 'claim')), undefined);
    assert.equal(lockFolder(join(copy, 'claim'), me), undefined);
    assert.deepEqual(lockHolder(join(original, 'claim')), parent);
  });

  it('is locked by one of many processes that find a stale or damaged lock at the same moment', async () => {
    const folder = join(dir, 'contended');
    await mkdir(folder);
    const claim = join(folder, 'claim');
    for (const damage of ['', '{"pid":', JSON.stringify({ pid: 1, started: 'long ago', folder: folderId(folder) })]) {
      for (const name of await readdir(folder)) await writeFile(join(folder, name), damage);
      const outputs = await contenders(claim, 6);
      assert.equal(outputs.filter((line) => line === 'mine').length, 1, outputs.join(', '));
    }
  });
});

describe('a damaged state file of a cluster', () => {
  it('counts as missing, so that `up`, `down` and `doctor` work, and clients explain what to do', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ksi-state-'));
    try {
      const { endpoints } = clusterPaths(dir);
      assert.equal(await readJson(endpoints), undefined);
      for (const bytes of ['{"folder":', '\0\0\0\0', Buffer.from([0xff, 0xfe])]) {
        await writeFile(endpoints, bytes);
        assert.equal(await readJson(endpoints), undefined);
        assert.throws(
          () => locate({}, { KSI_DIR: dir }, dir),
          (error) => error instanceof CliError && /endpoints.json is damaged. Run `ksi down`/.test(error.message),
        );
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
