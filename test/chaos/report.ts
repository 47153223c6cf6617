import type { ChaosOptions } from './options.js';
import type { Finding } from './checks/index.js';
import { percentile, type Figures } from './figures.js';

/** No more than so many violations of a kind are printed; all are in the history. */
const SHOWN = 10;

/** The figures of a run and what its checks found, as tables of Markdown. Pure. */
export function renderReport(options: ChaosOptions, figures: Figures, findings: readonly Finding[]): string {
  const { seed, seconds, rate, workers, apis, servers, leaseS } = options;
  const rows: [string, string][] = [
    [
      'cluster',
      `${apis} APIs, ${workers} workers, ${servers} nats-server${servers === 1 ? '' : 's'}; lease ${leaseS} s`,
    ],
    ['run', `seed ${seed}, ${seconds} s of faults, ${rate} tasks asked for per second`],
    ['faults', counts(figures.faults)],
    ['requests', counts(figures.posts)],
    ['tasks accepted', `${figures.accepted}: ${counts(figures.outcomes)}`],
    ['attempts', `${figures.attempts}; taken over or tried again: ${counts(figures.retries)}`],
    ['events stored', String(figures.events)],
    ['events read', `${figures.received}, over ${figures.connections} connections`],
    ['requests that left a trace, though not accepted', counts(figures.notAccepted)],
    ['takeover after SIGKILL of the worker', spread(figures.takeovers.kill)],
    ['takeover after SIGSTOP of the worker', spread(figures.takeovers.stop)],
    ['takeover with the broker hit too', spread(figures.takeovers.withoutBroker)],
    ["Claude's processes gone after SIGKILL of the worker", spread(figures.orphans)],
    ['POST to 202', spread(figures.acceptance)],
    ['POST to 503', spread(figures.refusal)],
    ['POST of a cancel to 200', spread(figures.cancels)],
    ['longest time with no task accepted', ms(figures.longestPause)],
  ];
  const figuresTable = table(['figure', ''], rows);
  const checksTable = table(
    ['check', 'violations'],
    findings.map(({ title, violations }) => [title, String(violations.length)]),
  );
  return [figuresTable, '', checksTable, ...details(findings)].join('\n');
}

function details(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ violations }) => violations.length > 0)
    .flatMap(({ title, violations }) => [
      '',
      `${title}:`,
      ...violations.slice(0, SHOWN).map((violation) => `- ${violation}`),
      ...(violations.length > SHOWN ? [`- … ${violations.length - SHOWN} more`] : []),
    ]);
}

function table(head: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  const [left, right] = [0, 1].map((column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0), 3));
  const line = ([name, value]: readonly [string, string]): string =>
    `| ${name.padEnd(left ?? 0)} | ${value.padEnd(right ?? 0)} |`;
  return [line(head), line(['-'.repeat(left ?? 0), '-'.repeat(right ?? 0)]), ...rows.map(line)].join('\n');
}

const counts = (counted: Readonly<Record<string, number>>): string =>
  Object.entries(counted)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `${count} ${name}`)
    .join(', ') || 'none';

const ms = (value: number): string => (value >= 1_000 ? `${(value / 1_000).toFixed(1)} s` : `${Math.round(value)} ms`);

function spread(values: readonly number[]): string {
  const [p50, p99, most] = [percentile(values, 0.5), percentile(values, 0.99), values.at(-1)];
  if (p50 === undefined || p99 === undefined || most === undefined) return 'none';
  return `p50 ${ms(p50)}, p99 ${ms(p99)}, longest ${ms(most)} (${values.length})`;
}
