import { parseArgs } from 'node:util';

export interface SoakOptions {
  readonly minutes: number;
  /** Tasks asked for per second, all activities together. */
  readonly rate: number;
  /** Part of the run that is left out of every trend: caches fill and retention starts to remove in it. */
  readonly warmUp: number;
  /** Folder of the report, the samples and the plot. */
  readonly out: string;
}

export const HELP = `make soak [MINUTES=20] [RATE=5], or: node dist/test/soak/main.js [OPTIONS]

Runs a cluster of its own with the stand-in executable under steady use: spawns, sessions, agents, reconnecting readers,
cancels, deletions. It samples memory, descriptors, consumers, subscriptions and disk, and reports each trend after warm-up.
Exit code 0: every trend is flat; 1: something grows, or an operation failed unexpectedly; 2: the run could not be made.

  --minutes N   length of the run (20)
  --rate N      tasks per second (5)
  --warm-up N   part of the run that no trend counts (0.5)
  --out DIR     folder of report.md, samples.json and plot.svg (bench-results/soak)
  --help        this text
`;

/** Bounded, so that no run takes more of the machine than was meant. */
const LIMITS = {
  minutes: { least: 0.5, most: 1_440 },
  rate: { least: 0.5, most: 50 },
  'warm-up': { least: 0.1, most: 0.8 },
} as const;

/** @returns undefined when help is asked for. @throws {Error} names the option that is wrong. */
export function soakOptions(argv: readonly string[]): SoakOptions | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '20' },
      rate: { type: 'string', default: '5' },
      'warm-up': { type: 'string', default: '0.5' },
      out: { type: 'string', default: 'bench-results/soak' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: keyof typeof LIMITS): number => {
    const value = Number(values[name]);
    const { least, most } = LIMITS[name];
    if (!(value >= least && value <= most))
      throw new Error(`--${name} ${values[name]}: use a number from ${least} to ${most}`);
    return value;
  };
  return { minutes: number('minutes'), rate: number('rate'), warmUp: number('warm-up'), out: values.out };
}
