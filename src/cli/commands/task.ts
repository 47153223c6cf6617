import type { Command } from '../command.js';
import type { Task } from '../../../contracts/http.js';
import { KsiClient } from '../../client/client.js';
import { findConnection } from '../connection.js';
import { EXIT } from '../exit.js';
import { type GlobalOptions } from '../options.js';
import { runCommand } from '../run.js';

/** `ksi task ID`: one task, whole. */
export function register(program: Command): void {
  program
    .command('task')
    .description('Show one task')
    .argument('<id>', 'the task’s id')
    .withExamples('ksi task ID', 'ksi task ID -o json | jq .output.usage')
    .action((id: string, _options: unknown, command: Command) =>
      runCommand(() => show(id, command.optsWithGlobals<GlobalOptions>())),
    );
}

async function show(id: string, options: GlobalOptions): Promise<number> {
  const client = new KsiClient(findConnection(options, process.env, process.cwd()));
  const task = await client.tasks.get(id);
  process.stdout.write(options.output === 'text' ? described(task) : `${JSON.stringify(task)}\n`);
  return EXIT.ok;
}

function described({ output, error, ...task }: Task): string {
  const lines = Object.entries(task).map(
    ([name, value]) => `${name.padEnd(15)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  );
  if (error !== undefined) lines.push(`${'error'.padEnd(15)} ${error.code}: ${error.message}`);
  const result = output?.['result'];
  if (typeof result === 'string') lines.push('', result);
  return `${lines.join('\n')}\n`;
}
