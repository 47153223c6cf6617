import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import { Blobs } from '../../src/broker/blobs.js';
import type { Delivery } from '../../src/broker/consume.js';
import { Workspaces } from '../../src/workspaces/roots.js';
import { claimTask, type Claim } from '../../workers/attempt/claim.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import { AttemptEvents } from '../../workers/attempt/events.js';
import { Lease } from '../../workers/attempt/lease.js';
import { Stopped } from '../../workers/attempt/stop.js';
import { GROUP_ONLY } from '../../workers/claude/containment.js';
import { ContainedLauncher } from '../../workers/claude/contained-launcher.js';
import { Journal } from '../../workers/journal/journal.js';
import { MemoryWatch } from '../../workers/claude/memory.js';
import { ModelPrices } from '../../workers/claude/model-prices.js';
import { runClaude } from '../../workers/claude/run.js';
import { LargeValues } from '../../workers/claude/large-values.js';
import { Redaction } from '../../workers/claude/redaction.js';
import { Transcript } from '../../workers/claude/transcripts.js';
import type { WorkerContext } from '../../workers/attempt/context.js';
import { ExclusiveRun } from '../../workers/queue/exclusive-run.js';
import { Slots } from '../../workers/queue/slots.js';
import { Folders } from '../../workers/claude/folders.js';
import { Worktrees } from '../../workers/claude/worktrees.js';
import { WorkerLab } from '../fixtures/worker.js';

const log = pino({ level: 'silent' });
const signal = AbortSignal.timeout(60_000);
const isFenced = (error: unknown): boolean => error instanceof Stopped && error.reason === 'fenced';

const redaction = new Redaction([]);

describe('the fence', () => {
  let lab: WorkerLab;
  let context: WorkerContext;
  let journal: Journal;
  before(async () => {
    lab = await WorkerLab.start();
    context = {
      broker: lab.broker,
      blobs: new Blobs(lab.broker),
      folders: new Folders(lab.dir, 'w_test'),
      log,
      workerId: 'w_test',
      process: 'w_test',
      host: 'h',
      leaseMs: 60_000,
      longestNakMs: 55_000,
      lend: () => () => undefined,
      clear: () => Promise.resolve(),
      shortages: { record: () => undefined, over: () => undefined },
      sessionFolder: () => Promise.resolve(''),
      exclusiveRun: new ExclusiveRun(new Slots(1)),
      retentionMs: 3_600_000,
      model: 'm',
      executable: undefined,
      journal: (journal = new Journal(lab.dir)),
      launcher: new ContainedLauncher(GROUP_ONLY, 'w_test', { ksiDir: lab.dir }, log),
      environment: { env: {}, secrets: [], credentials: [] },
      workspaces: new Workspaces(''),
      worktrees: new Worktrees(lab.dir, log),
      writersIn: () => 1,
      toolPolicy: { current: {} },
      mcpServers: { current: {} },
      onUsageLimit: () => undefined,
      limits: { memoryBytes: Infinity, outputBytes: Infinity },
      memory: new MemoryWatch(log),
      runClaude,
      prices: new ModelPrices(),
      random: Math.random,
      endingRuns: new Map(),
      shutdown: new AbortController().signal,
    };
  });
  after(async () => {
    await journal.close();
    await lab.stop();
  });

  const delivery = (count: number): Delivery => ({
    subject: '',
    reply: '',
    data: new Uint8Array(),
    receivedAt: performance.now(),
    seq: 1,
    count,
    header: () => '',
    ack: () => Promise.resolve(),
    renew: () => Promise.resolve(),
    nak: () => undefined,
  });

  const task = (sessionId = uuidv4()): TaskIdentity => ({ task_id: uuidv7(), session_id: sessionId, owner: 'local' });

  async function claim(
    identity: TaskIdentity,
    count: number,
  ): Promise<{ claim: Claim; events: AttemptEvents; lease: Lease }> {
    const held = delivery(count);
    const claimed = await claimTask(context, identity, held, undefined, signal);
    assert.ok(claimed.kind === 'claimed');
    const lease = new Lease({ broker: lab.broker, delivery: held, leaseMs: 60_000, log });
    lab.onStop(() => lease.stop());
    const events = new AttemptEvents({ ...context, lease, identity, claim: claimed.claim, traceparent: '', redaction });
    return { claim: claimed.claim, events, lease };
  }

  it('refuses output and outcome of an attempt that was taken over, one by one and in a batch', async () => {
    const identity = task();
    const old = await claim(identity, 1);
    old.events.message({ type: 'assistant', text: 'in time' });
    await lab.event('SPAWN_MESSAGE', identity.task_id);
    const current = await claim(identity, 2);
    assert.equal(current.claim.attempt, 2);
    old.events.message({ type: 'assistant', text: 'late' });
    old.events.message({ type: 'assistant', text: 'later' });
    await assert.rejects(old.events.outcome({ kind: 'completed', output: { type: 'result' } }), isFenced);
    await assert.rejects(old.events.drained(), isFenced);
    current.events.message({ type: 'assistant', text: 'of the second' });
    await current.events.outcome({ kind: 'completed', output: { type: 'result' } });
    await lab.outcome(identity.task_id);
    const told = lab.of(identity.task_id).map(({ type, data }) => `${type} ${(data as { attempt: number }).attempt}`);
    assert.deepEqual(told, [
      'SPAWN_START 1',
      'SPAWN_MESSAGE 1',
      'SPAWN_RETRY 1',
      'SPAWN_START 2',
      'SPAWN_MESSAGE 2',
      'SPAWN_COMPLETE 2',
    ]);
  });

  it('lets one of several win that take a task over at once', async () => {
    const identity = task();
    await claim(identity, 1);
    const all = await Promise.all(
      [2, 3, 4].map((count) => claimTask(context, identity, delivery(count), undefined, signal)),
    );
    const starts = all.filter(({ kind }) => kind === 'claimed');
    assert.ok(starts.length >= 1);
    const attempts = starts.map((claimed) => (claimed.kind === 'claimed' ? claimed.claim.attempt : 0));
    assert.equal(new Set(attempts).size, attempts.length);
  });

  it('takes no running attempt over for a delivery older than its own', async () => {
    const identity = task();
    await claim(identity, 3);
    for (const count of [1, 2, 3])
      assert.deepEqual(await claimTask(context, identity, delivery(count), undefined, signal), { kind: 'lost' });
  });

  it('is told to the lease by the feed', async () => {
    const identity = task();
    const old = await claim(identity, 1);
    old.lease.start(identity.task_id, old.claim.startId);
    await lab.broker.nc.flush();
    const lost = new Promise((resolve) => old.lease.signal.addEventListener('abort', resolve));
    await claim(identity, 2);
    await lost;
    assert.ok(isFenced(old.lease.signal.reason));
  });

  it('holds for the transcript too: a rewind refuses the older attempt and makes what it wrote void', async () => {
    const sessionId = uuidv4();
    const key = { projectKey: '-other', sessionId };
    const transcript = ({ transcript }: Claim): Transcript =>
      new Transcript({
        broker: lab.broker,
        blobs: context.blobs,
        sessionId,
        owner: 'o',
        signal,
        redaction,
        large: new LargeValues(),
        ...transcript,
      });
    const entry = (uuid: string, text = ''): { type: string; uuid: string; text: string } => ({
      type: 'user',
      uuid,
      text,
    });

    const first = await claim(task(sessionId), 1);
    await transcript(first.claim).append(key, [entry('a'), entry('big', 'x'.repeat(1_200_000))]);
    await first.events.outcome({ kind: 'completed', output: { type: 'result' } });

    const second = task(sessionId);
    const lost = transcript((await claim(second, 1)).claim);
    await lost.append(key, [entry('b')]);
    await lost.append({ ...key, subpath: 'subagents/agent-1' }, [entry('sub-of-lost')]);
    const retried = transcript((await claim(second, 2)).claim);
    await assert.rejects(lost.append(key, [entry('late')]), /taken the session over/);
    await assert.rejects(
      lost.append({ ...key, subpath: 'subagents/agent-1' }, [entry('late')]),
      /taken the session over/,
    );
    assert.deepEqual(
      (await retried.load(key))?.map(({ uuid }) => uuid),
      ['a', 'big'],
    );
    await Promise.all([
      retried.append({ ...key, subpath: 'subagents/agent.2 x' }, [entry('sub')]),
      retried.append(key, [entry('c')]),
      retried.append(key, [entry('d')]),
    ]);

    const third = transcript((await claim(task(sessionId), 1)).claim);
    const loaded = await third.load(key);
    assert.deepEqual(
      loaded?.map(({ uuid }) => uuid),
      ['a', 'big', 'c', 'd'],
    );
    assert.equal(String(loaded?.[1]?.['text']).length, 1_200_000);
    assert.deepEqual(await third.listSubkeys(), ['subagents/agent.2 x'], 'what holds nothing is not there');
    assert.equal(await third.load({ ...key, subpath: 'subagents/agent-1' }), null);
    assert.deepEqual(
      (await third.load({ ...key, subpath: 'subagents/agent.2 x' }))?.map(({ uuid }) => uuid),
      ['sub'],
    );
  });
});
