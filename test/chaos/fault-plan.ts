import type { FaultKind, FaultRole } from './history.js';

/** A fault to come. */
export interface PlannedFault {
  readonly afterMs: number;
  readonly kind: FaultKind;
  readonly role: FaultRole;
  /** Which of the processes of its role, from 0 to 1. */
  readonly which: number;
}

const KINDS: readonly FaultKind[] = ['kill', 'stop'];
/** How often each is hit: without a broker nothing else can go wrong. */
const WEIGHTS: readonly (readonly [FaultRole, number])[] = [
  ['worker', 5],
  ['api', 3],
  ['broker', 2],
];

const FIRST_MS = 2_000;
const MIN_GAP_MS = 1_500;
const MAX_GAP_MS = 6_000;
/** How often a fault follows at the heels of another. */
const TOGETHER = 0.2;
const TOGETHER_MS = 150;

/** The faults of a run: first each kind on each role once, in any order, then what chance brings. Pure. */
export function planFaults(random: () => number, seconds: number): PlannedFault[] {
  const every = WEIGHTS.flatMap(([role]) => KINDS.map((kind) => ({ kind, role })));
  const first = shuffled(every, random);
  const faults: PlannedFault[] = [];
  // So that all of them find their place in a short run too.
  const longest = Math.min(MAX_GAP_MS, Math.max(MIN_GAP_MS, (seconds * 1_000 - FIRST_MS) / every.length));
  for (let afterMs = FIRST_MS; afterMs < seconds * 1_000;) {
    const chosen = first[faults.length] ?? { kind: pick(KINDS, random), role: weighted(random) };
    faults.push({ afterMs: Math.round(afterMs), ...chosen, which: random() });
    afterMs += random() < TOGETHER ? TOGETHER_MS : MIN_GAP_MS + random() * (longest - MIN_GAP_MS);
  }
  return faults;
}

const pick = <T>(items: readonly [T, ...T[]] | readonly T[], random: () => number): T =>
  items[Math.floor(random() * items.length)] as T;

function weighted(random: () => number): FaultRole {
  let left = random() * WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  return WEIGHTS.find(([, weight]) => (left -= weight) < 0)?.[0] ?? 'worker';
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
