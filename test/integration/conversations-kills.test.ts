import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { v4 as uuidv4 } from 'uuid';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { startApiProcess, type ApiProcess } from '../fixtures/api-process.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const TURNS = 15;
/** A process is killed after so many turns: an API and a worker in turn. */
const KILL_EVERY = 4;

describe('a conversation whose workers and APIs are killed', () => {
  let lab: WorkerLab;
  let stays: ApiOn;
  let dies: ApiProcess;
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '2' }, { sync: '1s' });
    const env = { KSI_LEASE_S: '2' };
    stays = await startApiOn(lab.server.url, env);
    dies = await startApiProcess(lab.server.url, env);
  });
  after(async () => {
    await dies.stop();
    await stays.stop();
    await lab.stop();
  });

  it('goes on: each turn is given once, made into one task, and told once, in order', async () => {
    const env = { KSI_LEASE_S: '2' };
    let workers: ChildProcess[] = [workerProcess(lab, env), workerProcess(lab, env)];
    const asked = { conversation_id: uuidv4(), topic: 'x', mode: 'debate', agents: 3, max_turns: TURNS };
    const begin = (url: string) => new AgentsOver(() => url).ask('POST', '/conversations', asked);
    // Whose answer is lost is asked for again under its id.
    const { status } = await begin(dies.url).catch(() => begin(stays.url));
    assert.equal(status, 201);
    const told = (type: string) =>
      lab.seen
        .filter(({ event }) => event.type === type)
        .toSorted((a, b) => a.seq - b.seq)
        .map(({ event }) => event);
    for (let kills = 1; kills * KILL_EVERY < TURNS; kills++) {
      await lab.until(() => (told('CONVERSATION_TURN').length >= kills * KILL_EVERY ? true : undefined));
      if (kills % 2 === 1) await dies.restart();
      else {
        const [oldest, ...others] = workers;
        const exited = oldest === undefined ? undefined : once(oldest, 'exit');
        oldest?.kill('SIGKILL');
        await exited;
        workers = [...others, workerProcess(lab, env)];
      }
    }
    await lab.until(() => (told('CONVERSATION_ENDED').length > 0 ? true : undefined));
    const turns = told('CONVERSATION_TURN').map((event) => dataOf('CONVERSATION_TURN', event));
    assert.deepEqual(
      turns.map(({ turn, line, name, kind }) => [turn, line, name, kind]),
      Array.from({ length: TURNS }, (_, n) => [n + 1, n + 1, `agent-${(n % 3) + 1}`, 'said']),
    );
    const tasks = told('SPAWN_QUEUED').map((event) => dataOf('SPAWN_QUEUED', event));
    assert.equal(new Set(tasks.map(({ message }) => message?.message_id)).size, TURNS);
    const completed = told('SPAWN_COMPLETE').map((event) => dataOf('SPAWN_COMPLETE', event).task_id);
    assert.deepEqual(
      completed,
      turns.map(({ task_id: id }) => id),
      'one task a turn, one after the other',
    );
    assert.deepEqual(
      ['STARTED', 'ENDED'].map((type) => told(`CONVERSATION_${type}`).length),
      [1, 1],
    );
  });
});
