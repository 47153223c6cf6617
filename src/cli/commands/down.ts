import type { Command } from '../command.js';
import { runCommand } from '../run.js';

/** `ksi down`: stops the cluster in order. */
export function register(program: Command): void {
  program
    .command('down')
    .description('Stop the cluster: workers finish their tasks (KSI_DRAIN_S), then the APIs, then the broker')
    .withExamples('ksi down', 'KSI_DIR=/var/lib/ksi ksi down')
    .action(() =>
      runCommand(async () => {
        const { down } = await import('../../cluster/down.js');
        const { readConfig } = await import('../../config.js');
        const say = (text: string): void => void process.stderr.write(`${text}\n`);
        const ran = await down(readConfig(process.env).KSI_DIR, say);
        say(ran ? 'KSI is down.' : 'KSI was not running.');
        return 0;
      }),
    );
}
