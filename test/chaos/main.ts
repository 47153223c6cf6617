import { join } from 'node:path';
import { findings as findingsOf } from './checks/index.js';
import { figuresOf } from './figures.js';
import { chaosOptions, HELP, type ChaosOptions } from './options.js';
import { Recorder } from './recorder.js';
import { renderReport } from './report.js';
import { runChaos } from './run.js';

/** `make chaos`. Prints the report to stdout, what goes on to stderr. */
async function chaos(options: ChaosOptions, signal: AbortSignal): Promise<number> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  say(`seed ${options.seed}`);
  const recorder = new Recorder();
  const cluster = await runChaos({ ...options, recorder, say, signal });
  const history = recorder.history();
  const findings = findingsOf(history);
  const report = renderReport(options, figuresOf(history), findings);
  process.stdout.write(`${report}\n`);
  const failed = findings.some(({ violations }) => violations.length > 0);
  if (failed || options.keep) {
    const folder = join(options.out, `chaos-${options.seed}`);
    await recorder.write(folder, join(cluster.dir, 'logs'), report);
    say(
      `The history is in ${folder}. The same again: make chaos SECONDS=${options.seconds} SEED=${options.seed} NATS=${options.servers}`,
    );
  }
  await cluster.stop();
  return failed ? 1 : 0;
}

const stopping = new AbortController();
// A fault of our own must not leave a cluster behind.
let ownFault: unknown;
process.on('unhandledRejection', (error) => {
  ownFault ??= error;
  stopping.abort();
});
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopping.abort());
try {
  const options = chaosOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(HELP);
  else process.exitCode = await chaos(options, stopping.signal);
  if (ownFault !== undefined) throw ownFault;
} catch (error) {
  process.stderr.write(`The run could not be made: ${String((error as Error).stack ?? error)}\n`);
  process.exitCode = 2;
}
