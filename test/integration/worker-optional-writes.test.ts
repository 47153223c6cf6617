import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { connectBroker } from '../../src/broker/connect.js';
import { lastBySubject, type Stored } from '../../src/broker/read.js';
import { TASK_WRITES } from '../../src/broker/task-writes.js';
import { sleep, systemClock } from '../../src/clock.js';
import { makeStreams } from '../fixtures/connection.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { WorkerLab } from '../fixtures/worker.js';

const GIVES_UP = { policy: { max_attempts: 2, backoff: { base_s: 0.05 } } };

describe('a stream that is not essential disappears under a running worker', () => {
  let lab: WorkerLab;
  const lines: Record<string, unknown>[] = [];
  before(async () => {
    lab = await WorkerLab.start({ KSI_LEASE_S: '60', KSI_CONCURRENCY: '2' });
    const log = pino({ level: 'warn' }, { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
    await lab.worker({ log });
  });
  after(() => lab.stop());

  const appears = async (stream: string, subject: string): Promise<Stored> => {
    for (;;) {
      const found = await lastBySubject(lab.broker, stream, subject);
      if (found !== undefined) return found;
      await sleep(systemClock, 50);
    }
  };
  const isWarned = (stream: string): boolean => lines.some(({ stream: of, level }) => of === stream && level === 40);

  it('KSI_ENDED: tasks finish, slots and sessions are free, and the commands are kept once it is back', async () => {
    await lab.broker.jsm.streams.delete(STREAM.ended);
    const first = await lab.post('one');
    const others = await Promise.all(Array.from({ length: 5 }, () => lab.post('x', { sessionId: first.sessionId })));
    // Two slots, a lease of 60 s and a session in common: any task that held its slot would hold up the rest.
    for (const { taskId } of [first, ...others]) assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    await lab.until(() => (lab.ends.length >= 6 ? true : undefined));
    assert.ok(isWarned(STREAM.ended), JSON.stringify(lines));
    await makeStreams(lab.broker, lab.config);
    for (const { taskId } of [first, ...others]) await appears(STREAM.ended, SUBJECT.ended(taskId));
  });

  it('KSI_DEAD: tasks finish, and the letters are stored once it is back', async () => {
    await lab.broker.jsm.streams.delete(STREAM.dead);
    const given = await Promise.all([0, 1, 2].map(() => lab.post('x [[die:3]]', { command: GIVES_UP })));
    const behind = await Promise.all(given.map(({ sessionId }) => lab.post('behind', { sessionId })));
    for (const { taskId } of behind) assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
    assert.ok(isWarned(STREAM.dead), JSON.stringify(lines));
    await makeStreams(lab.broker, lab.config);
    for (const { taskId } of given) await appears(STREAM.dead, SUBJECT.dead('default', taskId));
  });

  it('is named by the error of a write to it', async () => {
    const broker = await connectBroker({ url: lab.server.url, name: 'test', log: pino({ level: 'silent' }) });
    lab.onStop(() => broker.close());
    const subject = 'ksi.nowhere';
    await assert.rejects(broker.publisher.publish({ subject, payload: '' }), { subject, message: /ksi\.nowhere/ });
  });
});

it('docs/reliability.md shows the table of writes', async () => {
  const doc = (await readFile(`${REPO_ROOT}/docs/reliability.md`, 'utf8')).replaceAll(/ +/g, ' ');
  for (const { stream, essential, purpose } of Object.values(TASK_WRITES))
    assert.ok(doc.includes(`| \`${stream}\` | ${essential ? 'yes' : 'no'} | ${purpose} |`), stream);
});
