import { newEvent, eventPublication } from '../../../src/broker/events.js';
import { MAX_BATCH } from '../../../src/broker/publish.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import { startCluster } from '../../fixtures/cluster.js';
import { benchBroker } from '../bench-broker.js';
import { brokerOf } from '../cluster-broker.js';
import { startChild } from '../children.js';
import type { BenchOptions } from '../options.js';
import type { Result } from '../result.js';
import { systemClock } from '../../../src/clock.js';

const FRAME_BYTES = 600;

/** Frames a second to many WebSocket clients, from events published to the broker, against a bare `ws` server with frames of its own. */
export async function fanOut(options: BenchOptions): Promise<Result[]> {
  const bare = await bareServer(options);
  const cluster = await startCluster({ KSI_WORKERS: '0', KSI_LOG_LEVEL: 'warn' });
  try {
    const broker = await benchBroker(brokerOf(cluster));
    const clients = await counters(options, new URL(cluster.url).port, '/events?subject=ksi.events.%3E', cluster.token);
    const taskId = '00000000-0000-7000-8000-000000000000';
    const subject = SUBJECT.taskOutput(taskId);
    const data = {
      task_id: taskId,
      session_id: taskId,
      owner: 'local',
      attempt: 1,
      message: 'x'.repeat(FRAME_BYTES - 350),
    };
    const events = Array.from({ length: options.frames }, (_, index) =>
      eventPublication(newEvent(systemClock, 'SPAWN_MESSAGE', { ...data, n: index + 1 }), subject),
    );
    const ms = await timed(clients, options.frames, async () => {
      for (let at = 0; at < events.length; at += MAX_BATCH)
        await broker.publisher.publishBatch(events.slice(at, at + MAX_BATCH), 10_000);
    });
    await clients.stop();
    await broker.close();
    return [
      {
        name: `frames to ${options.clients} WebSocket clients`,
        unit: '1/s',
        ksi: (options.frames * options.clients * 1_000) / ms,
        baseline: { name: 'bare ws server', value: (options.frames * options.clients * 1_000) / bare },
      },
    ];
  } finally {
    await cluster.stop();
  }
}

const counters = (options: BenchOptions, port: string, path: string, token: string): ReturnType<typeof startChild> =>
  startChild('ws-counter.js', {
    BENCH_PORT: port,
    BENCH_PATH: path,
    BENCH_TOKEN: token,
    BENCH_CLIENTS: String(options.clients),
  });

async function timed(
  clients: Awaited<ReturnType<typeof startChild>>,
  frames: number,
  begin: () => Promise<void> | void,
): Promise<number> {
  clients.send({ expect: frames });
  await clients.next();
  await begin();
  const { ms } = (await clients.next()) as { ms: number };
  return ms;
}

async function bareServer(options: BenchOptions): Promise<number> {
  const server = await startChild<{ port: number }>('baselines/ws-server.js', {});
  const clients = await counters(options, String(server.ready.port), '/', '');
  const ms = await timed(clients, options.frames, () => server.send({ frames: options.frames, bytes: FRAME_BYTES }));
  await clients.stop();
  await server.stop();
  return ms;
}
