import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { v7 as uuidv7 } from 'uuid';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { startApiProcess, type ApiProcess } from '../fixtures/api-process.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

/**
 * More take longer than a file may that the runner starts, as a session runs one task at a time. For 1,000:
 * `KSI_TEST_MESSAGES=1000 node --test dist/test/integration/agents-kills.test.js`.
 */
const MESSAGES = Number(process.env['KSI_TEST_MESSAGES'] ?? 60);
/** A worker is killed after so many answers, an API after twice as many. */
const KILL_EVERY = Math.max(20, MESSAGES / 20);

describe('a managed agent whose workers and API are killed', () => {
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

  it(`turns ${MESSAGES} messages into ${MESSAGES} tasks, in order, and answers each once`, async () => {
    const certain = new AgentsOver(() => stays.url);
    const uncertain = new AgentsOver(() => dies.url);
    await certain.register({ agent_id: 'ann' });
    await certain.register({ agent_id: 'bob', kind: 'managed' });
    const workerEnv = { KSI_LEASE_S: '2', KSI_CONCURRENCY: '1' };
    let workers: ChildProcess[] = [workerProcess(lab, workerEnv), workerProcess(lab, workerEnv)];

    const send = async (): Promise<void> => {
      for (let n = 0; n < MESSAGES; n++) {
        const message = { from: 'ann', to: 'bob', content: `${n}`, message_id: uuidv7() };
        // Whose answer is lost is sent again under its id.
        await uncertain.send(message).catch(() => certain.send(message));
      }
    };
    const answers = (): number =>
      lab.seen.filter(({ subject }) => subject === 'ksi.events.agent.ann.message.DIRECT_MESSAGE').length;
    const kill = async (): Promise<void> => {
      for (let kills = 1; kills * KILL_EVERY < MESSAGES; kills++) {
        await lab.until(() => (answers() >= kills * KILL_EVERY ? true : undefined));
        const [oldest, ...others] = workers;
        const exited = oldest === undefined ? undefined : once(oldest, 'exit');
        oldest?.kill('SIGKILL');
        await exited;
        workers = [...others, workerProcess(lab, workerEnv)];
        if (kills % 2 === 0) await dies.restart();
      }
    };
    await Promise.all([send(), kill()]);
    await lab.until(() => (answers() >= MESSAGES ? true : undefined));
    // What would be one too many comes at once: nothing tells that it doesn't.
    await sleep(500);

    const inOrder = lab.seen.toSorted((a, b) => a.seq - b.seq);
    const messages = inOrder.flatMap(({ subject, event }) =>
      subject === 'ksi.events.agent.bob.message.DIRECT_MESSAGE' ? [dataOf('AGENT_MESSAGE', event).message_id] : [],
    );
    assert.deepEqual([messages.length, new Set(messages).size], [MESSAGES, MESSAGES]);
    const messageOf = new Map(
      inOrder.flatMap(({ event }) => {
        if (event.type !== 'SPAWN_QUEUED') return [];
        const { task_id: id, message } = dataOf('SPAWN_QUEUED', event);
        return [[id, message?.message_id ?? '']];
      }),
    );
    const completed = inOrder.flatMap(({ event }) =>
      event.type === 'SPAWN_COMPLETE' ? [messageOf.get(dataOf('SPAWN_COMPLETE', event).task_id)] : [],
    );
    assert.deepEqual(completed, messages, 'one task each, in the order of the messages');
    const others = new Set(
      inOrder.filter(({ event }) => /SPAWN_(ERROR|CANCELLED|EXPIRED)/.test(event.type)).map(({ event }) => event.type),
    );
    assert.deepEqual([...others], []);
    const answered = inOrder.flatMap(({ subject, event }) =>
      subject === 'ksi.events.agent.ann.message.DIRECT_MESSAGE' ? [dataOf('AGENT_MESSAGE', event).reply_to] : [],
    );
    assert.deepEqual([answered.length, new Set(answered)], [MESSAGES, new Set(messages)]);
    assert.equal((await certain.one('bob')).unread, 0);
  });
});
