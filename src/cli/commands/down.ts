import type { Command } from '../command.js';
import type { GlobalOptions } from '../options.js';
import { say } from '../output/say.js';

/** `ksi down` */
export function register(program: Command): void {
  program
    .command('down')
    .description('Stop the cluster: workers finish their tasks (KSI_DRAIN_S), then the APIs, then the broker')
    .withExamples('ksi down', 'KSI_DIR=/var/lib/ksi ksi down')
    .runs(run);
}

async function run(options: GlobalOptions): Promise<void> {
  const { down } = await import('../../cluster/down.js');
  const { readConfig } = await import('../../config/load.js');
  const ran = await down(readConfig(process.env).KSI_DIR, (text) => say(options, text));
  say(options, ran ? 'KSI is down.' : 'KSI was not running.');
}
