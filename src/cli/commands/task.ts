import type { KsiClient } from '../../client/client.js';
import type { Command } from '../command.js';
import type { Task } from '../../../contracts/tasks/task.js';
import { taskId } from '../ids.js';
import { type GlobalOptions } from '../options.js';
import { fieldLines } from '../output/fields.js';
import { printOne } from '../output/print.js';
import { timesFor, type ShowTime } from '../output/times.js';

/** `ksi task ID` */
export function register(program: Command): void {
  program
    .command('task')
    .description('Show a task')
    .argument('<id>', 'the task’s id', taskId)
    .withValues({ id: 'tasks' })
    .withExamples('ksi task ID', 'ksi task ID -o json | jq .output.usage')
    .calls(show);
}

async function show(client: KsiClient, id: string, options: GlobalOptions): Promise<void> {
  const task = await client.tasks.get(id);
  printOne(task, (each) => described(each, timesFor(options)), options);
}

function described({ output, error, mcp_servers: servers, ...task }: Task, when: ShowTime): string {
  const failed = error === undefined ? {} : { error: `${error.code}: ${error.message}` };
  const result = output?.['result'];
  const states = servers?.map(
    ({ name, status, error: why }) => `${name} ${status}${why === undefined ? '' : ` (${why})`}`,
  );
  const facts = {
    ...task,
    workspace: task.workspace ?? `the session’s own folder (ksi files ${task.session_id})`,
    ...(states === undefined ? {} : { mcp_servers: states.join(', ') }),
    ...failed,
  };
  return `${fieldLines(facts, when)}${typeof result === 'string' ? `\n${result}\n` : ''}`;
}
