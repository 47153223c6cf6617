import type { Command } from '../command.js';
import type { Finding, FindingStatus } from '../../doctor/finding.js';
import { timeLeft } from '../../doctor/time-left.js';
import { EXIT } from '../exit.js';
import type { GlobalOptions } from '../options.js';
import { paint } from '../output/colour.js';
import { say } from '../output/say.js';
import { jsonLine } from '../output/printable.js';

interface Options extends GlobalOptions {
  readonly events: boolean;
  readonly allEvents?: true;
}

/** `ksi doctor` */
export function register(program: Command): void {
  program
    .command('doctor')
    .description(
      'Check the installation, broker, Claude, clocks, disk, and the invariants of stored events, without changing anything',
    )
    .option('--no-events', 'skip the stored events')
    .option(
      '--all-events',
      'read all stored events, however long it takes (default: as many as possible in a few seconds)',
    )
    .withNotes(
      `It takes at most 10 seconds unless it reads all events. The exit code is ${EXIT.failure} if a check failed; warnings do not count.`,
    )
    .withExamples('ksi doctor', `ksi doctor --no-events -o json | jq 'map(select(.status != "ok"))'`)
    .runs(run)
    // Requests to frozen processes may still be pending.
    .hook('postAction', () => void process.stdout.write('', () => process.exit()));
}

async function run(options: Options): Promise<number> {
  const { examine } = await import('../../doctor/examine.js');
  const { readConfig } = await import('../../config/load.js');
  const { pino } = await import('pino');
  const findings: Finding[] = [];
  const progress = (text: string): void => {
    if (process.stderr.isTTY && options.quiet !== true) process.stderr.write(`\r\u001B[2K${text}`);
  };
  const asked = {
    config: readConfig(process.env),
    env: process.env,
    events: options.allEvents === true ? ('all' as const) : options.events,
    withinMs: timeLeft(performance.now()),
    progress,
  };
  for await (const finding of examine({ ...asked, log: pino({ level: 'silent' }) })) {
    progress('');
    if (options.output === 'text') print(finding, findings.at(-1));
    else if (options.output === 'jsonl') process.stdout.write(jsonLine(finding));
    findings.push(finding);
  }
  if (options.output === 'json') process.stdout.write(jsonLine(findings));
  const failed = findings.filter(({ status }) => status === 'failed').length;
  const warnings = findings.filter(({ status }) => status === 'warning').length;
  if (options.output === 'text') say(options, `\n${summary(failed, warnings)}`);
  return failed > 0 ? EXIT.failure : EXIT.ok;
}

const MARKS: Readonly<Record<FindingStatus, readonly [string, 'green' | 'yellow' | 'red' | 'dim']>> = {
  ok: ['ok', 'green'],
  warning: ['warn', 'yellow'],
  failed: ['FAIL', 'red'],
  skipped: ['skip', 'dim'],
};

function print({ group, title, status, found, next }: Finding, before: Finding | undefined): void {
  const out = process.stdout;
  if (before?.group !== group) out.write(`${before === undefined ? '' : '\n'}${paint('bold', group, out)}\n`);
  const [mark, colour] = MARKS[status];
  out.write(`  ${paint(colour, mark.padEnd(4), out)}  ${title}: ${found}\n`);
  if (next !== undefined) out.write(`        → ${next}\n`);
}

function summary(failed: number, warnings: number): string {
  if (failed === 0 && warnings === 0) return 'All checks passed.';
  const parts = [
    failed === 0 ? '' : `${failed} failed`,
    warnings === 0 ? '' : `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`,
  ];
  return `${parts.filter((part) => part !== '').join(', ')}.`;
}
