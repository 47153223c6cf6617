import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFile, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { askSupervisor, ControlServer } from '../../src/cluster/control.js';
import { untilDrained } from '../../src/cluster/drain.js';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import { checkExternalBroker } from '../../src/cluster/external-broker.js';
import { leftovers } from '../../src/cluster/leftovers.js';
import { followLogs, loggedProcesses } from '../../src/cluster/logs.js';
import { ManagedProcess } from '../../src/cluster/managed-process.js';
import { clusterPaths } from '../../src/cluster/paths.js';
import type { Entries, Plan } from '../../src/cluster/plan.js';
import { prepare } from '../../src/cluster/prepare.js';
import { untilReady } from '../../src/cluster/readiness.js';
import { Supervisor } from '../../src/cluster/supervisor.js';
import { readConfig } from '../../src/config/load.js';
import { isAlive } from '../../src/process/identity.js';
import { freePort, natsServerPath, startTestBroker } from '../fixtures/broker.js';
import { REPO_ROOT } from '../fixtures/paths.js';

/** The supervisor with the real nats-server; API and worker are tiny scripts that do what the contract asks of those. */
const API = `
import { createServer } from 'node:http';
if (process.env.KSI_TEST_BROKEN) { console.error('broken on purpose'); process.exit(7); }
const server = createServer((request, response) => { response.writeHead(200); response.end('ready'); });
server.listen(Number(process.env.KSI_PORT), process.env.KSI_HOST);
const stop = () => server.close(() => process.exit(0));
process.on('SIGTERM', stop);
process.stdin.on('end', stop).resume();
console.error('api listens');
`;
const WORKER = `
process.on('SIGTERM', () => { console.error('drained'); process.exit(0); });
process.stdin.on('end', () => process.exit(0)).resume();
console.error('worker ' + process.env.KSI_PROCESS);
`;
/** Ignores everything but SIGKILL, as a process that hangs. */
const DEAF = `
import { createServer } from 'node:http';
process.on('SIGTERM', () => {});
createServer((request, response) => response.end()).listen(Number(process.env.PORT), '127.0.0.1');
`;

const quiet = (): void => undefined;

describe('the supervisor', () => {
  let root: string;
  let dir: string;
  let clusters = 0;
  const stops: (() => Promise<void>)[] = [];
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'ksi-supervisor-'));
    await writeFile(join(root, 'api.mjs'), API);
    await writeFile(join(root, 'worker.mjs'), WORKER);
    await writeFile(join(root, 'deaf.mjs'), DEAF);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
  after(() => rm(root, { recursive: true, force: true }));

  const entries = (over: Partial<Entries> = {}): Entries => ({
    api: join(root, 'api.mjs'),
    worker: join(root, 'worker.mjs'),
    bridge: '',
    standin: '',
    natsConf: join(REPO_ROOT, 'nats.conf'),
    ...over,
  });

  /** A log whose lines can be waited for. */
  const listening = (): { log: pino.Logger; logged: (pattern: RegExp) => Promise<void> } => {
    const waiting: { pattern: RegExp; resolve: () => void }[] = [];
    const log = pino(
      { level: 'info' },
      {
        write: (line: string) => {
          for (const { pattern, resolve } of waiting) if (pattern.test(line)) resolve();
        },
      },
    );
    return { log, logged: (pattern) => new Promise((resolve) => waiting.push({ pattern, resolve })) };
  };

  const planned = async (env: Record<string, string> = {}, over: Partial<Entries> = {}): Promise<Plan> => {
    dir = join(root, `c${++clusters}`);
    const all = {
      PATH: process.env['PATH'] ?? '',
      KSI_DIR: dir,
      KSI_PORT: String(await freePort(4)),
      KSI_DRAIN_S: '1',
      KSI_NATS_PORT: String(await freePort()),
      ...env,
    };
    return prepare({
      config: readConfig(all),
      env: all,
      entries: entries(over),
      natsServer: await natsServerPath(),
      demo: false,
    });
  };

  const started = async (plan: Plan, log = pino({ level: 'silent' })): Promise<Supervisor> => {
    const supervisor = new Supervisor(plan, log);
    stops.push(() => supervisor.stop(quiet));
    await supervisor.start(quiet);
    return supervisor;
  };

  it('starts all, says where it is, restarts what dies, and stops in order with nothing left', async () => {
    const { log, logged } = listening();
    const plan = await planned({ KSI_WORKERS: '2', KSI_APIS: '2' });
    const supervisor = await started(plan, log);
    const names = supervisor.status().processes.map(({ name, state }) => `${name} ${state}`);
    assert.deepEqual(names, [
      'nats-1 running',
      'api-1 running',
      'api-2 running',
      'worker-1 running',
      'worker-2 running',
    ]);
    const endpoints = JSON.parse(await readFile(plan.paths.endpoints, 'utf8')) as Endpoints;
    assert.equal(endpoints.apis.length, 2);
    assert.equal(endpoints.nats.credentials.observer, join(dir, 'nats', 'observer.nk'));
    assert.equal((await stat(plan.paths.endpoints)).mode & 0o777, 0o600);

    const again = logged(/"process":"worker-1".*"msg":"started"/);
    process.kill(endpoints.pids['worker-1'] ?? 0, 'SIGKILL');
    await again;
    const worker = supervisor.status().processes.find(({ name }) => name === 'worker-1');
    assert.equal(worker?.restarts, 1);
    assert.equal(worker.last_end, 'signal SIGKILL');

    const running = (await leftovers(plan.paths)).length;
    assert.equal(running, 5);
    const said: string[] = [];
    await supervisor.stop((text) => said.push(text.split(';')[0] ?? ''));
    assert.deepEqual(said, ['stopping worker-1, worker-2', 'stopping api-1, api-2', 'stopping nats-1']);
    assert.deepEqual(await leftovers(plan.paths), []);
    assert.match(await readFile(plan.paths.log('worker-2'), 'utf8'), /drained/);
    await assert.rejects(stat(plan.paths.endpoints), { code: 'ENOENT' });
  });

  it('runs a broker of three, puts back the one that dies, and keeps its state apart from that of a single one', async () => {
    const { log, logged } = listening();
    const plan = await planned({ KSI_NATS_SERVERS: '3' });
    const supervisor = await started(plan, log);
    const endpoints = JSON.parse(await readFile(plan.paths.endpoints, 'utf8')) as Endpoints;
    assert.deepEqual(
      endpoints.nats.servers.map(({ name }) => name),
      ['nats-1', 'nats-2', 'nats-3'],
    );
    assert.equal(endpoints.nats.url, endpoints.nats.servers.map(({ url }) => url).join(','));
    const again = logged(/"process":"nats-2".*"msg":"started"/);
    process.kill(endpoints.pids['nats-2'] ?? 0, 'SIGKILL');
    await again;
    const back = await untilReady(`${endpoints.nats.servers[1]?.monitor}/healthz`, AbortSignal.timeout(30_000));
    assert.ok(back.ready, back.said);
    await supervisor.stop(quiet);
    assert.deepEqual(await leftovers(plan.paths), []);
    const config = readConfig({ KSI_DIR: dir, KSI_PORT: String(await freePort(4)) });
    await assert.rejects(prepare({ config, env: {}, entries: entries(), natsServer: 'x', demo: false }), {
      code: 'other_broker',
      message: /make up NATS=3/,
    });
  });

  it('scales workers up and down, and restarts the processes one after the other', async () => {
    const supervisor = await started(await planned());
    const workers = (): string[] =>
      supervisor.status().processes.flatMap(({ role, name }) => (role === 'worker' ? [name] : []));
    await supervisor.scale(3, quiet);
    assert.deepEqual(workers(), ['worker-1', 'worker-2', 'worker-3']);
    await supervisor.scale(1, quiet);
    assert.deepEqual(workers(), ['worker-1']);

    // A rolling restart: new processes with the new settings, the same broker.
    const pids = (): Record<string, number | undefined> =>
      Object.fromEntries(supervisor.status().processes.map(({ name, pid }) => [name, pid]));
    const before = pids();
    const said: string[] = [];
    await supervisor.restart({ KSI_CONCURRENCY: '9', KSI_WORKERS: '', ANTHROPIC_API_KEY: 'a key' }, (text) =>
      said.push(text.split(';')[0] ?? ''),
    );
    assert.deepEqual(said, ['restarting api-1 (1 of 2)', 'restarting worker-1 (2 of 2)']);
    const now = pids();
    assert.equal(now['nats-1'], before['nats-1']);
    assert.notEqual(now['api-1'], before['api-1']);
    assert.notEqual(now['worker-1'], before['worker-1']);
    const { config, processes, claude_credentials: credentials } = supervisor.status();
    assert.equal(config.KSI_CONCURRENCY, 9);
    assert.deepEqual(Object.keys(credentials), ['ANTHROPIC_API_KEY']);
    assert.ok(processes.every(({ state, restarts }) => state === 'running' && restarts === 0));
    const elsewhere = { KSI_PORT: String(config.KSI_PORT + 1) };
    await assert.rejects(supervisor.restart(elsewhere, quiet), { code: 'needs_restart', message: /make down/ });
  });

  it('tells which tasks a stopping worker waits for, and for how long at most', async () => {
    const said: string[] = [];
    let stop = (): void => undefined;
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
    });
    const api = createServer((_, response) => {
      const items = [
        { pid: 1, running: 2 },
        { pid: 2, running: 5 },
      ];
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ items, next_cursor: null }));
    });
    await once(api.listen(0, '127.0.0.1'), 'listening');
    stops.push(async () => void api.close());
    const { port } = api.address() as AddressInfo;
    const tokenFile = join(root, 'drain-token');
    await writeFile(tokenFile, 't'.repeat(32));
    await untilDrained(
      stopped,
      { pids: [1], url: `http://127.0.0.1:${port}`, token_file: tokenFile, drainS: 30, firstMs: 1 },
      (text) => {
        said.push(text);
        stop();
      },
    );
    assert.match(said[0] ?? '', /^waiting for 2 running tasks to finish; at most (30|29) s left$/);
  });

  it('refuses a broker of others that it cannot use, with the cause and without the password', async () => {
    const accounts = `accounts {
      plain { users: [{ user: plain, password: secret }] }
      js { jetstream: enabled, users: [{ user: js, password: secret }] }
    }`;
    const broker = await startTestBroker({ config: accounts });
    stops.push(() => broker.stop());
    const check = async (user: string): Promise<void> => {
      const url = broker.url.replace('nats://', `nats://${user}@`);
      await checkExternalBroker(readConfig({ KSI_NATS_URL: url }), quiet);
    };
    await check('js:secret');
    for (const [user, message] of [
      ['plain:secret', /^The broker at nats:\/\/\*\*\*@.* has no JetStream/],
      ['js:wrong', /^The broker at nats:\/\/\*\*\*@.* refuses KSI/],
    ] as const)
      await assert.rejects(check(user), { code: 'broker_unusable', message });
    const said: string[] = [];
    await checkExternalBroker(readConfig({ KSI_NATS_URL: `nats://u:secret@127.0.0.1:${await freePort()}` }), (text) =>
      said.push(text),
    );
    assert.match(said.join(), /^cannot reach the broker at nats:\/\/\*\*\*@[^ ]+: connection refused; trying again$/);
  });

  it('gives up on a start whose API does not stay up, shows its log, and leaves nothing', async () => {
    const plan = await planned({ KSI_TEST_BROKEN: '1' });
    const supervisor = new Supervisor(plan, pino({ level: 'silent' }));
    await assert.rejects(supervisor.start(quiet), {
      code: 'process_failed',
      message: /api-1 does not stay up: exit code 7[\s\S]*broken on purpose/,
    });
    assert.deepEqual(await leftovers(plan.paths), []);
    assert.equal(supervisor.status().state, 'stopped');
  });

  it('kills what does not end in time', async () => {
    const port = await freePort();
    const managed = new ManagedProcess({
      spec: {
        name: 'deaf',
        role: 'worker',
        command: process.execPath,
        args: [join(root, 'deaf.mjs')],
        env: { PORT: String(port) },
        graceMs: 50,
      },
      logFile: join(root, 'deaf.log'),
      log: pino({ level: 'silent' }),
      longestPauseMs: () => 30_000,
      onChange: quiet,
    });
    managed.start();
    stops.push(() => managed.stop());
    await untilReady(`http://127.0.0.1:${port}`, AbortSignal.timeout(20_000));
    await managed.stop();
    assert.equal(managed.status().last_end, 'signal SIGKILL');
    assert.equal(managed.status().state, 'stopped');
  });

  it('refuses a taken API port by the name of its variable, and moves the broker from one', async () => {
    const first = await planned();
    await started(first);
    await assert.rejects(planned({ KSI_PORT: String(first.config.KSI_PORT) }), {
      code: 'port_taken',
      message: /KSI_PORT/,
    });
    const port = first.broker?.servers[0]?.port ?? 0;
    dir = join(root, 'other');
    const config = readConfig({ KSI_DIR: dir, KSI_PORT: String(await freePort(4)), KSI_NATS_PORT: String(port) });
    const plan = await prepare({ config, env: {}, entries: entries(), natsServer: 'x', demo: false });
    assert.ok(plan.broker !== undefined && plan.broker.servers[0]?.port !== port);
  });

  it('leaves a record by which the next one ends its children when it is killed', async () => {
    const plan = await planned();
    await started(plan);
    const left = await leftovers(plan.paths);
    assert.deepEqual(left.map(({ name }) => name).toSorted(), ['api-1', 'nats-1', 'worker-1']);
    // As after a SIGKILL: nobody restarts them.
    const broker = left.filter(({ name }) => name === 'nats-1');
    assert.ok(broker.every(isAlive));
    // They are none of a copy's, though it has the same record.
    const copy = clusterPaths(join(root, 'copy'));
    await cp(dir, copy.dir, { recursive: true, filter: (file) => !file.endsWith('.sock') });
    assert.deepEqual(await leftovers(copy), []);
    assert.ok(left.every(isAlive));
  });

  it('answers over its socket, which is the user alone, and replaces a stale one', async () => {
    const paths = clusterPaths(join(root, 'sock'));
    const plan = await planned({ KSI_DIR: paths.dir });
    const supervisor = await started(plan);
    await writeFile(plan.paths.socket, 'stale');
    const server = new ControlServer(plan.paths.socket, async (request, progress) => {
      progress(`asked for ${request.op}`);
      await Promise.resolve();
      return supervisor.status();
    });
    await server.start();
    stops.push(() => server.stop());
    assert.equal((await stat(plan.paths.socket)).mode & 0o777, 0o600);
    const logged: string[] = [];
    const status = await askSupervisor(plan.paths.socket, { op: 'status' }, { progress: (text) => logged.push(text) });
    assert.equal(status.state, 'ready');
    assert.deepEqual(logged, ['asked for status']);
    await server.stop();
    await assert.rejects(askSupervisor(plan.paths.socket, { op: 'status' }), { code: 'not_running' });
  });

  it("shows the processes' logs as they grow", async () => {
    const plan = await planned();
    await started(plan);
    assert.deepEqual(await loggedProcesses(dir), ['api-1', 'nats-1', 'worker-1']);
    const end = new AbortController();
    const line = new Promise<string>((resolve) => {
      // The worker writes lines of its own, too.
      const onLine = (process: string, text: string): void => {
        if (text.startsWith('line ')) resolve(`${process}: ${text}`);
      };
      void followLogs(dir, ['worker-1'], onLine, end.signal);
    });
    // Until the watcher listens, nobody hears.
    const writing = (async () => {
      for (let n = 0; !end.signal.aborted; n++) {
        await appendFile(plan.paths.log('worker-1'), `line ${n}\n`);
        await new Promise(setImmediate);
      }
    })();
    const seen = await line;
    end.abort();
    await writing;
    assert.match(seen, /^worker-1: line \d+$/);
  });
});
