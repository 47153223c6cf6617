import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Approval } from '../../contracts/tasks/approvals.js';
import type { Session } from '../../contracts/sessions/sessions.js';
import type { UsagePage } from '../../contracts/access/usage.js';
import { startCluster, type Finished, type TestCluster } from '../fixtures/cluster.js';

describe('sessions, approvals and usage by `ksi`, in a demo', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startCluster({ KSI_LOG_LEVEL: 'warn' }, ['--demo']);
  });
  after(() => cluster.stop());

  const ksi = async (...args: string[]): Promise<Finished> => {
    const done = await cluster.ksi(args);
    assert.equal(done.code, 0, `ksi ${args.join(' ')}: ${done.stderr}`);
    return done;
  };
  const json = async <T>(...args: string[]): Promise<T> => JSON.parse((await ksi(...args, '-o', 'json')).stdout) as T;

  it('says, forks, shows, exports and imports', async () => {
    // The demo's own.
    const before = (await json<Session[]>('sessions')).length;
    await ksi('spawn', '--session', 'notes', '--metadata', 'ticket=7', 'The word is KUMQUAT');
    const forked = await ksi('spawn', '--session', 'notes', '--fork', 'Which word?');
    assert.match(forked.stdout, /KUMQUAT|what you said before/);
    const sessions = await json<Session[]>('sessions');
    assert.equal(sessions.length, before + 2);
    const notes = await json<Session>('sessions', 'show', 'notes');
    assert.equal(notes.tasks, 1);
    assert.ok(notes.usage.cost_usd > 0);
    assert.match((await ksi('sessions', 'transcript', '--markdown', 'notes')).stdout, /## User[\s\S]*KUMQUAT/);
    const file = join(cluster.dir, 'notes.json');
    await writeFile(file, (await ksi('sessions', 'export', 'notes')).stdout);
    assert.match(
      (await ksi('sessions', 'import', '--as', 'copy', file)).stderr,
      /entries. Continue: ksi spawn --session copy/,
    );
    assert.equal((await cluster.ksi(['sessions', 'import', file])).code, 1);
    assert.match((await ksi('sessions')).stdout, /SESSION +TASKS +OPEN +COST/);
    assert.equal((await json<object[]>('tasks', '--metadata', 'ticket=7')).length, 1);
    const usage = await json<UsagePage>('usage');
    assert.equal(usage.total.tasks, before + 2);
    assert.match((await ksi('usage', '--by', 'owner')).stdout, /local[\s\S]*total/);
  });

  it('asks, and is answered; says more while Claude works', async () => {
    const prompt = '[[tool:Bash {"command":"mkdir made"}]] please';
    const id = (await ksi('spawn', '--no-wait', '--approvals', prompt)).stdout.trim();
    let [approval] = await json<Approval[]>('approvals');
    for (; approval === undefined; [approval] = await json<Approval[]>('approvals')) await sleep(200);
    assert.match((await ksi('approvals')).stdout, /Bash/);
    assert.equal(approval.task_id, id);
    await ksi('approvals', 'deny', '--message', 'not today', approval.approval_id);
    const late = await cluster.ksi(['approvals', 'allow', approval.approval_id]);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /already_answered|not_found/);
    assert.match((await ksi('logs', '-f', id)).stdout, /APPROVAL_REQUESTED +\S+: Bash \{"command":"mkdir made"/);
    const slow = (await ksi('spawn', '--no-wait', '[[delay:4000]] slow')).stdout.trim();
    let output = await cluster.ksi(['input', slow, 'and', 'more']);
    for (
      ;
      output.code !== 0 && /not_running|worker_unreachable/.test(output.stderr);
      output = await cluster.ksi(['input', slow, 'and more'])
    )
      await sleep(200);
    assert.equal(output.code, 0, output.stderr);
    assert.match((await ksi('logs', '-f', slow)).stdout, /and more/);
    const metrics = await fetch(`${cluster.url}/metrics`, { headers: { authorization: `Bearer ${cluster.token}` } });
    assert.match(await metrics.text(), /ksi_cost_usd_total\{owner="local"\} 0\.\d+/);
  });
});
