import { PRIORITIES, type RunPriority } from '../../contracts/wire/names.js';
import type { PrioritySpec } from '../../contracts/broker/topology.js';

/**
 * The order in which a free slot asks for runs: by priority, the highest first. `next` alternates between the first and the last place. The queues
 * rotate too.
 * @param turn the number of runs taken so far
 */
export function priorityOrder(specs: readonly PrioritySpec[], turn: number): PrioritySpec[] {
  const lanes: RunPriority[] = turn % 2 === 0 ? ['next', ...PRIORITIES] : [...PRIORITIES, 'next'];
  const queues = [...new Set(specs.map(({ queue }) => queue))];
  const first = queues.length === 0 ? 0 : turn % queues.length;
  const inTurn = [...queues.slice(first), ...queues.slice(0, first)];
  return lanes.flatMap((runPriority) =>
    inTurn.flatMap((queue) => specs.filter((spec) => spec.queue === queue && spec.runPriority === runPriority)),
  );
}
