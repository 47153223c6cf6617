import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { access, readFile, readdir, rename, truncate } from 'node:fs/promises';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import { identify, isAlive, type ProcessIdentity } from '../../src/process/identity.js';
import { freePort, natsServerPath } from '../fixtures/broker.js';
import { KSI, run } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN, REPO_ROOT } from '../fixtures/paths.js';

const WITHIN_MS = 60_000;

/** The whole cluster, started as cron or systemd would: no HOME, no TERM, no terminal, stdin closed. */
describe('signals and logs', { skip: process.platform === 'linux' ? false : 'reads /proc' }, () => {
  let dir: string;
  let env: Record<string, string>;
  let started: readonly ProcessIdentity[];
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'ksi-signals-'));
    env = {
      PATH: process.env['PATH'] ?? '',
      KSI_NATS_SERVER: await natsServerPath(),
      KSI_DIR: dir,
      KSI_PORT: String(await freePort()),
      KSI_NATS_PORT: String(await freePort()),
      KSI_BRIDGE: '1',
      KSI_DRAIN_S: '1',
      KSI_CLAUDE_BIN: CLAUDE_STANDIN,
    };
    const shell = spawn('/bin/sh', ['-c', 'exec "$0" "$@" <&- >&- 2>&-', process.execPath, KSI, 'up'], {
      env,
      cwd: '/',
      stdio: 'ignore',
    });
    const [code] = (await once(shell, 'exit')) as [number];
    assert.equal(code, 0);
    started = Object.values(await pids()).flatMap((pid) => identify(pid) ?? []);
  });
  after(async () => {
    await run(process.execPath, [KSI, 'down'], env);
    await rm(dir, { recursive: true, force: true });
  });

  const pids = async (): Promise<Record<string, number>> =>
    (JSON.parse(await readFile(join(dir, 'endpoints.json'), 'utf8')) as Endpoints).pids;
  const signal = async (names: RegExp, what: NodeJS.Signals): Promise<void> => {
    for (const [name, pid] of Object.entries(await pids())) if (names.test(name)) process.kill(pid, what);
  };
  const logOf = (name: string): Promise<string> => readFile(join(dir, 'logs', `${name}.log`), 'utf8').catch(() => '');
  const until = async (what: string, reached: () => Promise<boolean>): Promise<void> => {
    const deadline = performance.now() + WITHIN_MS;
    while (!(await reached())) {
      assert.ok(performance.now() < deadline, what);
      await sleep(50);
    }
  };
  const url = (path: string): string => `http://127.0.0.1:${env['KSI_PORT']}${path}`;
  const runTask = async (): Promise<void> => {
    const token = (await readFile(join(dir, 'token'), 'utf8')).trim();
    const response = await fetch(url('/spawn?wait=30'), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'hello' }),
    });
    assert.equal(response.status, 200);
  };
  const OURS = /^(?!nats-)/;

  it('no process has a terminal that could close', async () => {
    for (const { pid } of started) {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
      const [, , group, session, terminal] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      assert.deepEqual([group, session, terminal], [String(pid), String(pid), '0']);
    }
  });

  it('signals that mean nothing here, and those for logs, end and open nothing', async () => {
    for (const what of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGWINCH', 'SIGTSTP', 'SIGCONT'] as const)
      await signal(OURS, what);
    for (const what of ['SIGHUP', 'SIGUSR1', 'SIGPIPE', 'SIGWINCH'] as const) await signal(/^nats-/, what);
    for (const name of ['supervisor', 'api-1', 'worker-1', 'bridge'])
      await until(`${name} opens its log`, async () => /"signal":"SIGUSR1"/.test(await logOf(name)));
    await runTask();
    for (const identity of started) assert.ok(isAlive(identity));
    for (const name of Object.keys(await pids())) assert.doesNotMatch(await logOf(name), /Debugger listening/);
  });

  it('logs are rotated by rename, and by copy and truncate', async () => {
    const names = Object.keys(await pids());
    for (const name of names) await rename(join(dir, 'logs', `${name}.log`), join(dir, 'logs', `${name}.log.1`));
    await signal(/^supervisor$/, 'SIGHUP');
    for (const name of ['supervisor', 'nats-1'])
      await until(`${name} has a new log`, () =>
        access(join(dir, 'logs', `${name}.log`)).then(
          () => true,
          () => false,
        ),
      );
    await until('the worker has a new log', async () => {
      await runTask();
      return /attempt ended/.test(await logOf('worker-1'));
    });
    await truncate(join(dir, 'logs', 'worker-1.log'), 0);
    await runTask();
    const log = await logOf('worker-1');
    assert.match(log, /attempt started/);
    // What is written to the place where the file ended before leaves a hole.
    assert.doesNotMatch(log, /\0/);
    assert.ok((await readdir(join(dir, 'logs'))).includes('worker-1.log.1'));
  });

  it('SIGQUIT ends an API and a worker in order; the supervisor starts them again', async () => {
    const before = await pids();
    await signal(/^(api|worker)-1$/, 'SIGQUIT');
    await until('both are back', async () => {
      const now = await pids();
      return ['api-1', 'worker-1'].every((name) => now[name] !== undefined && now[name] !== before[name]);
    });
    await until('ready', () =>
      fetch(url('/readyz')).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    assert.match(await logOf('worker-1'), /"quick":true,"why":"SIGQUIT"/);
    await runTask();
  });

  it('commands say that the supervisor is suspended, and what to do', async () => {
    const { supervisor = 0 } = await pids();
    await signal(/^supervisor$/, 'SIGSTOP');
    const answers = await Promise.all(['status', 'up'].map((command) => run(process.execPath, [KSI, command], env)));
    for (const { code, stderr } of answers) {
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`kill -CONT ${supervisor}.*make down`));
    }
    await signal(/^supervisor$/, 'SIGCONT');
    const status = await run(process.execPath, [KSI, 'status'], env);
    assert.equal(status.code, 0, status.stderr);
  });

  it('`ksi down` ends a cluster whose supervisor is suspended', async () => {
    const all = Object.values(await pids()).flatMap((pid) => identify(pid) ?? []);
    await signal(/^supervisor$/, 'SIGSTOP');
    const down = await run(process.execPath, [KSI, 'down'], env);
    assert.equal(down.code, 0, down.stderr);
    assert.deepEqual(all.filter(isAlive), []);
  });
});

/** Sends its own process signals while that loads its modules. */
const SIGNALS_ITSELF = `
  let sent = false;
  export async function resolve(specifier, context, next) {
    if (!sent && /^pino$|(server|reap).js$/.test(specifier)) {
      sent = true;
      for (const signal of (process.env.SIGNALS ?? '').split(',')) process.kill(process.pid, signal);
      process._rawDebug('signals sent');
    }
    return next(specifier, context);
  }`;
/** Only the guard reads it, and ends all processes that have it in their environment. */
const MARKER = 'KSI_TEST_MARKER=none';
const moduleOf = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
const PRELOAD = moduleOf(
  `import { register } from 'node:module'; register(${JSON.stringify(moduleOf(SIGNALS_ITSELF))})`,
);

describe('a process that is starting', () => {
  /** `signals`: what it must not be ended by. `code`: how it ends, once it has loaded everything: by a fault in its environment, or with its stdin. */
  const harmless = { signals: 'SIGHUP,SIGUSR1', code: 1 };
  const mains = {
    'src/api': harmless,
    'src/bridge': harmless,
    'src/cluster': harmless,
    'src/standin/messages': harmless,
    workers: harmless,
    'workers/guard': { signals: 'SIGHUP,SIGUSR1,SIGTERM,SIGINT,SIGQUIT', code: 0 },
  };
  for (const [main, { signals, code: end }] of Object.entries(mains))
    it(`is neither ended by ${signals} nor opened to a debugger by SIGUSR1: ${main}`, async () => {
      const env = { PATH: process.env['PATH'] ?? '', KSI_PORT: 'none', PORT: 'none', SIGNALS: signals };
      const { code, stderr } = await run(
        process.execPath,
        ['--import', PRELOAD, join(REPO_ROOT, 'dist', main, 'main.js'), MARKER],
        env,
      );
      assert.match(stderr, /signals sent/);
      assert.equal(code, end, stderr);
      assert.doesNotMatch(stderr, /Debugger listening/);
    });
});
