import type { World } from './world.js';

type Disturb = (world: World, pick: (count: number) => number, random: () => number) => void;

/** Mostly short, at times longer than a lease. */
const duration = (random: () => number): number => 200 + 39_800 * random() ** 3;

/** All that may go wrong, each at a moment of its own. What is ended is started again, later. */
const FAULTS: Readonly<{ [kind: string]: Disturb }> = {
  // Within its steps, not only between its waits.
  worker_killed: (world, pick) => world.workers[pick(world.workers.length)]?.process.killAfterSteps(pick(25)),
  api_killed: (world, pick) => world.apis[pick(world.apis.length)]?.process.killAfterSteps(pick(12)),
  worker_stopped: (world, pick, random) => {
    const worker = world.workers[pick(world.workers.length)];
    worker?.standStill(duration(random));
  },
  api_stopped: (world, pick, random) => {
    world.apis[pick(world.apis.length)]?.process.standStill(duration(random));
  },
  partition: (world, pick, random) => {
    const all = [...world.workers, ...world.apis];
    const { link } = all[pick(all.length)] ?? {};
    if (link === undefined) return;
    const ms = duration(random);
    link.cut(ms);
    // It may show, sooner or later, or not at all.
    if (random() < 0.7) world.scheduler.after(ms * random() * 1.2, () => link.lose());
  },
  broker_killed: (world, _pick, random) => {
    world.server.kill(duration(random), 1_000 * random());
  },
  worker_drained: (world, pick) => {
    const worker = world.workers[pick(world.workers.length)];
    if (worker === undefined || worker.process.dead || worker.draining) return;
    worker.process.run(() => {
      worker.stop().catch((error: unknown) => world.record.violate(`a worker's stop: ${String(error)}`));
    });
  },
};

/** Disturbs a world at random moments until `until`. */
export function plagued(world: World, until: number): void {
  const { random, after } = { random: world.scheduler.random, after: world.scheduler.after.bind(world.scheduler) };
  const pick = (count: number): number => Math.floor(random() * count);
  const kinds = Object.entries(FAULTS).filter(() => random() < 0.6);
  const faults = kinds.length === 0 ? 0 : pick(12);
  for (let fault = 0; fault < faults; fault++) {
    const [kind = '', disturb] = kinds[pick(kinds.length)] ?? [];
    after(until * random(), () => {
      world.record.count(kind);
      world.record.say(() => `fault: ${kind}`);
      disturb?.(world, pick, random);
    });
  }
}
