import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson, type Endpoints } from '../../src/cluster/endpoints.js';
import { startCluster } from '../fixtures/cluster.js';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';
import { SoakLoad } from './load.js';
import { HELP, soakOptions, type SoakOptions } from './options.js';
import { renderPlot } from './plot.js';
import { quantityOf, takeSample, type Sample } from './sample.js';
import { trendOf, type Point, type Trend } from './trend.js';

const SAMPLE_MS = 5_000;
/** Retention removes within the warm-up what the load leaves, so that the disk can be flat after it. */
const environment = (): Record<string, string> => ({
  KSI_WORKERS: '2',
  KSI_CONCURRENCY: '4',
  KSI_LOG_LEVEL: 'warn',
  KSI_CLAUDE_BIN: CLAUDE_STANDIN,
  KSI_RETENTION_TASKS_S: '60',
  KSI_RETENTION_SESSIONS_S: '60',
  KSI_RETENTION_WORKSPACES_S: '60',
});

type Series = ReadonlyMap<string, readonly Point[]>;

/** `make soak`. Prints the report to stdout and progress to stderr. @returns the exit code. */
async function soak(options: SoakOptions, signal: AbortSignal): Promise<number> {
  const cluster = await startCluster(environment());
  const load = new SoakLoad({ url: cluster.url, token: cluster.token, rate: options.rate });
  const seconds = options.minutes * 60;
  const series = new Map<string, Point[]>();
  try {
    load.start();
    const begun = performance.now();
    const elapsed = (): number => (performance.now() - begun) / 1_000;
    while (elapsed() < seconds && !signal.aborted) {
      const endpoints = (await readJson(join(cluster.dir, 'endpoints.json'))) as Endpoints;
      const sample = await takeSample(cluster.dir, endpoints);
      addTo(series, elapsed(), sample);
      process.stderr.write(`${progress(elapsed(), sample, load)}\n`);
      // Ctrl-C only shortens the pause.
      await sleep(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
    }
    await load.stop();
  } finally {
    await cluster.stop();
  }
  return report(options, series, load);
}

function addTo(series: Map<string, Point[]>, at: number, sample: Sample): void {
  for (const [name, value] of Object.entries(sample)) {
    const points = series.get(name) ?? [];
    series.set(name, points);
    points.push({ at, value });
  }
}

function progress(at: number, sample: Sample, load: SoakLoad): string {
  const rounds = [...load.rounds.values()].reduce((sum, count) => sum + count, 0);
  const failures = [...load.failures.values()].reduce((sum, count) => sum + count, 0);
  const memory = Object.entries(sample).filter(([name]) => name.startsWith('memory'));
  const all = Math.round(memory.reduce((sum, [, value]) => sum + value, 0));
  return `${Math.round(at)} s: ${rounds} rounds, ${failures} failures, ${all} MB of memory, ${Math.round(sample['disk in all'] ?? 0)} MB of disk, ${sample['broker consumers']} consumers`;
}

async function report(options: SoakOptions, series: Series, load: SoakLoad): Promise<number> {
  const warmUpEnds = options.minutes * 60 * options.warmUp;
  const names = [...series.keys()].toSorted();
  const rounds = [...load.rounds.values()].reduce((sum, count) => sum + count, 0) * (1 - options.warmUp);
  const trends = names.flatMap((name) => {
    const trend = trendOf(quantityOf(name, rounds), series.get(name) ?? [], warmUpEnds);
    return trend === undefined ? [] : [{ name, trend }];
  });
  const text = render(options, trends, load);
  await mkdir(options.out, { recursive: true });
  await writeFile(join(options.out, 'report.md'), text);
  await writeFile(join(options.out, 'samples.json'), JSON.stringify(Object.fromEntries(series)));
  const plotted = names
    .filter((name) => series.get(name)?.some(({ value }) => value > 0))
    .map((name) => ({ name, unit: quantityOf(name, rounds).unit, points: series.get(name) ?? [] }));
  await writeFile(join(options.out, 'plot.svg'), renderPlot(plotted, warmUpEnds));
  process.stdout.write(`${text}\nThe report, the samples and the plot are in ${options.out}.\n`);
  const grows = trends.some(({ trend }) => !trend.flat);
  return grows || load.failures.size > 0 || trends.length === 0 ? 1 : 0;
}

function render(
  { minutes, rate, warmUp }: SoakOptions,
  trends: readonly { name: string; trend: Trend }[],
  load: SoakLoad,
): string {
  const number = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 1 : 0);
  const rows = trends.map(({ name, trend: { median, growth, allowed, flat } }) => {
    const { unit } = quantityOf(name, 0);
    return `| ${name} | ${number(median)} ${unit} | ${number(growth)} | ${number(allowed)} | ${flat ? 'flat' : 'GROWS'} |`;
  });
  const counts = (map: ReadonlyMap<string, number>): string[] => [...map].map(([name, count]) => `- ${count} ${name}`);
  return [
    `Soak of ${minutes} minutes at ${rate} tasks/s; trends count the time after the first ${Math.round(warmUp * 100)} %.`,
    '',
    '| series | median | growth | allowed | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Rounds:',
    ...counts(load.rounds),
    '',
    load.failures.size === 0 ? 'No operation failed.' : 'Failures:',
    ...counts(load.failures),
    '',
  ].join('\n');
}

const stopping = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort());
try {
  const options = soakOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else process.exitCode = await soak(options, stopping.signal);
} catch (error) {
  process.stderr.write(`The run could not be made: ${String((error as Error).stack ?? error)}\n`);
  process.exitCode = 2;
}
