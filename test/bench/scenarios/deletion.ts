import { v7 as uuidv7 } from 'uuid';
import { FORMAT_VERSION, HEADER, STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../../src/broker/connect.js';
import { eventPublication, newEvent } from '../../../src/broker/events.js';
import { ApiLab } from '../../fixtures/api.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';

const AT_ONCE = 64;
const PAGE = 500;

/** Ended tasks that DELETE /tasks deletes a second, over all its pages. Each task has four events, a command and a session with a transcript. */
export async function deletion({ deletedTasks: count }: BenchOptions): Promise<Result[]> {
  const lab = await ApiLab.start({ KSI_RETENTION: 'off', KSI_LOG_LEVEL: 'warn' });
  try {
    let left = count - 1;
    const maker = async (): Promise<void> => {
      while (left-- > 0) await makeTask(lab.broker);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, maker));
    const last = await makeTask(lab.broker);
    // The read model applies events in order.
    while ((await lab.request(`/tasks/${last}`)).body['status'] !== 'completed');

    const before = await consumersOf(lab.broker);
    const began = performance.now();
    const cpu = process.cpuUsage();
    let deleted = 0;
    let longest = 0;
    let cursor: string | undefined;
    do {
      const pageBegan = performance.now();
      const query = `status=completed&limit=${PAGE}${cursor === undefined ? '' : `&cursor=${cursor}`}`;
      const { status, body } = await lab.request(`/tasks?${query}`, { method: 'DELETE' });
      if (status !== 200) throw new Error(`DELETE /tasks was answered ${status}: ${JSON.stringify(body)}`);
      deleted += Number(body['deleted']);
      cursor = body['next_cursor'] as string | undefined;
      longest = Math.max(longest, performance.now() - pageBegan);
    } while (cursor !== undefined);
    const took = (performance.now() - began) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    if (deleted !== count) throw new Error(`${deleted} of ${count} tasks were deleted`);
    const after = await consumersOf(lab.broker);
    if (after > before) throw new Error(`the deletion left ${after - before} consumers at the broker`);
    return [
      { name: `deletion by filter, ${count} tasks`, unit: '1/s', ksi: count / took },
      { name: 'deletion by filter: CPU of the API per task', unit: 'ms', ksi: (user + system) / 1_000 / count },
      { name: `deletion by filter: longest page of ${PAGE}`, unit: 'ms', ksi: longest },
    ];
  } finally {
    await lab.stop();
  }
}

/** Stores a completed task in a session of its own, as a worker leaves it. @returns the task's id */
async function makeTask({ publisher, clock }: Broker): Promise<string> {
  const task = { task_id: uuidv7(), session_id: uuidv7(), owner: 'local' };
  const { task_id: id, session_id: sessionId } = task;
  const run = { seq: 1, delivery: 1 };
  const started = { ...task, attempt: 1, n: 1, worker_id: 'w', host: 'h', transcript_seq: 0, run };
  const queued = { ...task, queue: 'default', priority: 'normal' as const, prompt_preview: 'x' };
  for (const [event, subject] of [
    [newEvent(clock, 'SPAWN_QUEUED', queued), SUBJECT.taskState(id, 'queued')],
    [newEvent(clock, 'SPAWN_START', started), SUBJECT.taskState(id, 'start')],
    [newEvent(clock, 'SPAWN_MESSAGE', { ...task, attempt: 1, n: 2, message: 'x' }), SUBJECT.taskOutput(id)],
    [
      newEvent(clock, 'SPAWN_COMPLETE', { ...task, attempt: 1, n: 3, output: { result: 'x' } }),
      SUBJECT.taskState(id, 'complete'),
    ],
  ] as const)
    await publisher.publish(eventPublication(event, subject));
  const command = { v: FORMAT_VERSION, ...task, prompt: 'x'.repeat(400) };
  const headers = { [HEADER.owner]: 'local' };
  await publisher.publish({ subject: SUBJECT.ended(id), payload: JSON.stringify(command), headers });
  await publisher.publish({ subject: SUBJECT.transcript(sessionId), payload: 'x'.repeat(1_000), headers });
  return id;
}

async function consumersOf({ jsm }: Broker): Promise<number> {
  const states = await Promise.all(Object.values(STREAM).map((name) => jsm.streams.info(name)));
  return states.reduce((sum, { state }) => sum + state.consumer_count, 0);
}
