import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../../src/doctor/finding.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { wrongClock } from '../fixtures/wrong-clock.js';

/** It promises 10 s of a machine that has time for it. This bound only tells an answer from none. */
const WITHIN_MS = 60_000;

describe('ksi doctor, at a cluster of three nats-servers', () => {
  let cluster: TestCluster;
  let pids: Record<string, number>;
  const frozen: number[] = [];
  before(async () => {
    // It runs no task; whatever tells its version stands in for Claude.
    cluster = await startCluster({ KSI_NATS_SERVERS: '3', KSI_WORKERS: '1', KSI_CLAUDE_BIN: process.execPath });
    pids = cluster.endpoints['pids'] as Record<string, number>;
    // Its first word may be lost while the streams choose their leaders.
    while ((await cluster.ksi(['workers', '-o', 'jsonl'])).stdout === '') await sleep(200);
  });
  afterEach(() => thaw());
  after(() => cluster.stop());

  const freeze = (name: string): void => {
    const pid = pids[name];
    assert.ok(pid !== undefined);
    frozen.push(pid);
    process.kill(pid, 'SIGSTOP');
  };
  const thaw = (): void => frozen.splice(0).forEach((pid) => process.kill(pid, 'SIGCONT'));

  /** The findings, each as `group status title: found`. */
  const doctor = async (args: readonly string[] = [], env: Record<string, string> = {}): Promise<string[]> => {
    const begun = performance.now();
    const { stdout, stderr } = await cluster.ksi(['doctor', '-o', 'json', ...args], { env });
    assert.ok(performance.now() - begun < WITHIN_MS, `it took ${Math.round(performance.now() - begun)} ms`);
    assert.equal(stderr, '');
    return (JSON.parse(stdout) as Finding[]).map(
      ({ group, status, title, found }) => `${group} ${status} ${title}: ${found}`,
    );
  };
  const has = (findings: readonly string[], pattern: RegExp): void =>
    assert.ok(
      findings.some((finding) => pattern.test(finding)),
      `${pattern} is not in\n${findings.join('\n')}`,
    );
  const lacks = (findings: readonly string[], pattern: RegExp): void =>
    assert.deepEqual(
      findings.filter((finding) => pattern.test(finding)),
      [],
    );

  it('names a suspended API and a wrong clock, and does not miss a worker for either', async () => {
    freeze('api-1');
    freeze('api-1');
    const findings = await doctor([], wrongClock(-864_000_000));
    has(findings, /^cluster failed api-1: it is suspended/);
    has(findings, /^cluster failed api-1 is ready:/);
    has(findings, /^workers ok workers: w_\w+ runs 0 of/);
    has(findings, /^events ok invariants/);
    has(findings, /^clocks warning this machine: its clock is 86[34],\d.* s behind the broker's/);
    for (const name of ['nats-1', 'nats-2', 'nats-3']) has(findings, new RegExp(`^clocks ok ${name}`));
    lacks(findings, /^broker failed/);
  });

  it('names a suspended nats-server, and no other, though the supervisor is suspended too', async () => {
    freeze('supervisor');
    freeze('nats-2');
    const findings = await doctor(['--no-events']);
    has(findings, /^cluster failed supervisor: it is suspended/);
    has(findings, /^cluster \w+ api-1 is ready/);
    has(findings, /^broker failed nats-2: it is suspended/);
    has(findings, /^broker ok nats-3: syncs/);
    lacks(findings, /nats-[13]: it is suspended/);
    lacks(findings, /^workers failed workers/);
  });

  it('names the streams that have no leader, when two of three are suspended', async () => {
    freeze('nats-1');
    freeze('nats-3');
    // A leader that has lost its followers answers for some seconds more.
    const isLeaderless = (finding: string): boolean =>
      finding.startsWith('broker failed KSI_COMMANDS: it has no leader');
    let findings: string[] = [];
    for (let looks = 0; looks < 5 && !findings.some(isLeaderless); looks++) findings = await doctor(['--no-events']);
    has(findings, /^broker failed KSI_COMMANDS: it has no leader/);
    for (const name of ['nats-1', 'nats-3']) has(findings, new RegExp(`^broker failed ${name}: it is suspended`));
    lacks(findings, /nats-2: it is suspended/);
  });
});
