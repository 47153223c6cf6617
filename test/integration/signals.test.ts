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
import { CLAUDE_STANDIN } from '../fixtures/paths.js';

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

  it('`ksi down` ends a cluster whose supervisor is suspended', async () => {
    const all = Object.values(await pids()).flatMap((pid) => identify(pid) ?? []);
    await signal(/^supervisor$/, 'SIGSTOP');
    const down = await run(process.execPath, [KSI, 'down'], env);
    assert.equal(down.code, 0, down.stderr);
    assert.deepEqual(all.filter(isAlive), []);
  });
});
