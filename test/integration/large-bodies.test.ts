import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, describe, it } from 'node:test';
import type { Task } from '../../contracts/tasks/task.js';
import { TOKEN } from '../fixtures/api.js';
import { startApiProcess, type ApiProcess } from '../fixtures/api-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const BYTES = 240_000_000;
const authorization = `Bearer ${TOKEN}`;

describe('a result of 240 MB', () => {
  let lab: WorkerLab;
  let api: ApiProcess;
  before(async () => {
    lab = await WorkerLab.start({ KSI_TASK_OUTPUT_MB: '1024', KSI_WORKER_SLOTS: '2' });
    api = await startApiProcess(lab.server.url);
  });
  after(async () => {
    await api.stop();
    await lab.stop();
  });

  const get = async (path: string): Promise<Response> => {
    const answer = await fetch(`${api.url}${path}`, { headers: { authorization } });
    assert.equal(answer.status, 200, path);
    return answer;
  };

  it('neither keeps leases from being renewed nor fills an API, and reaches its readers whole', async () => {
    await lab.worker();
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    const { taskId } = await lab.post(`[[objects:30]][[size:${BYTES}]]`);
    const beside = await lab.post('[[sleep:3000]]');
    const ended = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    dataOf('SPAWN_COMPLETE', await lab.outcome(beside.taskId));
    delay.disable();
    assert.ok(delay.max < 1e9, `a turn of the worker's event loop took ${Math.round(delay.max / 1e6)} ms`);
    assert.equal(ended.attempt, 1);

    const task = (await (await get(`/tasks/${taskId}`)).json()) as Task;
    assert.deepEqual([task.output, task.output_ref], [undefined, ended.ref]);
    const sizes = await Promise.all(Array.from({ length: 4 }, () => sizeOf(get(`/tasks/${taskId}/output`))));
    assert.deepEqual(new Set(sizes), new Set([task.output_ref?.size]));
    assert.ok((task.output_ref?.size ?? 0) > BYTES);

    const { items: events } = (await (await get(`/tasks/${taskId}/events`)).json()) as {
      items: { id: string; data: { ref?: { size: number } } }[];
    };
    const [objects] = events.filter(({ data }) => data.ref !== undefined);
    assert.ok(objects?.data.ref !== undefined);
    const text = await (await get(`/tasks/${taskId}/events/${objects.id}/body`)).text();
    const body = JSON.parse(text) as { message: { content: unknown[] } };
    assert.equal(body.message.content.length, 30 * 131_072 + 1);
    assert.deepEqual(body.message.content.at(-1), { type: 'text', text: 'the end' });

    const peakMb = Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${api.pid()}/status`, 'utf8'))?.[1]) / 1_024;
    assert.ok(peakMb < 512, `the API took ${Math.round(peakMb)} MB`);
  });
});

async function sizeOf(answer: Promise<Response>): Promise<number> {
  let size = 0;
  for await (const chunk of (await answer).body ?? []) size += (chunk as Uint8Array).length;
  return size;
}
