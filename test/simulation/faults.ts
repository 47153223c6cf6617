import type { SimApi } from './api.js';
import type { SimProcess } from './process.js';
import type { SimWorker } from './worker.js';
import type { World } from './world.js';

type Victim = SimWorker | SimApi;
type Disturb = (world: World, victim: Victim) => void;

const isWorker = (victim: Victim): victim is SimWorker => 'draining' in victim;

/** Short, or about as long as a lease. */
const duration = (random: () => number): number =>
  random() < 0.5 ? 50 + 4_000 * random() ** 2 : 8_000 + 32_000 * random();

/** All that may go wrong, each at a moment of its own. What has ended is started again, later. */
const FAULTS: Readonly<{ [kind: string]: Disturb }> = {
  killed: ({ scheduler: { random } }, { process }) => process.killAfterSteps(Math.floor(12 * random() ** 2)),
  stopped: ({ scheduler: { random } }, victim) =>
    isWorker(victim) ? victim.standStill(duration(random)) : victim.process.standStill(duration(random)),
  cut_off: ({ scheduler }, { link }) => {
    const ms = duration(scheduler.random);
    link.cut(ms);
    // It may show, sooner or later, or not at all.
    if (scheduler.random() < 0.6) scheduler.after(ms * scheduler.random() * 1.2, () => link.lose());
  },
  broker_killed: ({ server, scheduler: { random } }) => server.kill(duration(random), 1_000 * random()),
  drained: ({ record }, victim) => {
    if (!isWorker(victim) || victim.draining) return;
    victim.process.run(() => {
      victim.stop().catch((error: unknown) => record.violate(`a worker's stop: ${String(error)}`));
    });
  },
};

const MAX_FAULTS = 14;

/** Disturbs a world until `until`: at random moments, and in the midst of what its processes do. */
export function plague(world: World, until: number): void {
  const { scheduler, record } = world;
  const { random } = scheduler;
  const kinds = Object.entries(FAULTS).filter(() => random() < 0.6);
  const count = kinds.length === 0 ? 0 : Math.floor(random() * MAX_FAULTS);
  for (let fault = 0; fault < count; fault++) {
    const [kind = '', disturb] = kinds[Math.floor(random() * kinds.length)] ?? [];
    const happen = (name?: string): void => {
      const all: Victim[] = [...world.workers, ...world.apis];
      const victim = all.find(({ process }) => process.name === name) ?? all[Math.floor(random() * all.length)];
      if (victim === undefined || victim.process.dead) return;
      record.count(kind);
      record.say(() => `fault: ${victim.process.name} is ${kind}`);
      disturb?.(world, victim);
    };
    const atActor = (by: SimProcess | undefined): void => happen(random() < 0.8 ? by?.name : undefined);
    const when = random();
    if (when < 0.25) scheduler.after(until * random(), () => happen());
    else if (when < 0.6) world.whenStored.at(1 + Math.floor(70 * random()), atActor);
    else world.whenAsked.at(1 + Math.floor(500 * random()), atActor);
  }
}
