import type { Command } from '../command.js';
import type { GlobalOptions } from '../options.js';
import { say } from '../output/say.js';

/** `ksi restart` */
export function register(program: Command): void {
  program
    .command('restart')
    .description(
      'Restart APIs and workers one after the other, with the code and settings of now. The broker keeps running, and running tasks may finish (KSI_DRAIN_S)',
    )
    .withExamples('ksi restart', 'ANTHROPIC_API_KEY=… ksi restart', 'KSI_CONCURRENCY=8 ksi restart')
    .runs(run);
}

async function run(options: GlobalOptions): Promise<void> {
  const { restart } = await import('../../cluster/restart-cluster.js');
  await restart(process.env, (text) => say(options, text));
  say(options, 'KSI is restarted.');
}
