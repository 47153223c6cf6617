import { parseArgs } from 'node:util';

export interface ChaosOptions {
  /** All that is chosen at random follows from it. */
  readonly seed: number;
  /** How long there are faults and load. */
  readonly seconds: number;
  /** Tasks asked for per second, by all clients together. */
  readonly rate: number;
  readonly workers: number;
  readonly apis: number;
  /** nats-servers: 1 or 3. */
  readonly servers: number;
  readonly leaseS: number;
  /** KSI_CONTAINMENT. */
  readonly containment: string;
  /** Where the history of a failure is put. */
  readonly out: string;
  /** Keep the history also of a run without a violation. */
  readonly keep: boolean;
}

export const HELP = `make chaos [SECONDS=60] [SEED=N] [NATS=3], or: node dist/test/chaos/main.js [OPTIONS]

Kills (SIGKILL) and freezes (SIGSTOP for twice the lease) the processes of a cluster of its own at random moments under
steady load, lets all tasks end, and checks that nothing was lost, doubled, reordered or left behind.
Exit code 0: no violation; 1: violations, and the history is kept; 2: it could not be run.

  --seconds N   how long there are load and faults (60)
  --seed N      the same faults again, though what they meet differs (random, and printed)
  --rate N      tasks asked for per second (3)
  --workers N   workers (3)      --apis N   APIs (2)      --lease N   lease in seconds (3)
  --servers N   nats-servers, 1 or 3 (1)
  --containment KIND  KSI_CONTAINMENT (auto)
  --out DIR     where the history of a failure goes, in chaos-SEED (bench-results)
  --keep        keep the history of a run without violations too
  --help        this text
`;

/** @returns undefined when help is asked for. @throws {Error} what is wrong with the arguments. */
export function chaosOptions(argv: readonly string[]): ChaosOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
      seconds: { type: 'string', default: '60' },
      rate: { type: 'string', default: '3' },
      workers: { type: 'string', default: '3' },
      apis: { type: 'string', default: '2' },
      lease: { type: 'string', default: '3' },
      servers: { type: 'string', default: '1' },
      containment: { type: 'string', default: 'auto' },
      out: { type: 'string', default: 'bench-results' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { seed, seconds, rate, workers, apis, lease, servers, containment, out, keep } = values;
  if (servers !== '1' && servers !== '3') throw new Error(`--servers ${servers}: 1 or 3 is wanted`);
  const numbers = { seed, seconds, rate, workers, apis, lease };
  for (const [name, text] of Object.entries(numbers)) {
    const value = Number(text);
    const { least, most } = LIMITS[name as keyof typeof numbers];
    if (!(value >= least && value <= most && (name === 'rate' || Number.isInteger(value))))
      throw new Error(`--${name} ${text}: a number from ${least} to ${most} is wanted`);
  }
  return {
    seed: Number(seed),
    seconds: Number(seconds),
    rate: Number(rate),
    workers: Number(workers),
    apis: Number(apis),
    leaseS: Number(lease),
    servers: Number(servers),
    containment,
    out,
    keep,
  };
}

/** Bounded, so that no run lasts or takes more than was meant. */
const LIMITS = {
  seed: { least: 0, most: 4_294_967_295 },
  seconds: { least: 5, most: 86_400 },
  rate: { least: 0.1, most: 200 },
  workers: { least: 1, most: 32 },
  apis: { least: 1, most: 8 },
  lease: { least: 2, most: 60 },
} as const;
