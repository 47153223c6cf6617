import type { KsiClient } from '../../../client/client.js';
import type { Command } from '../../command.js';
import type { DeadLetter } from '../../../../contracts/tasks/dead-letters.js';
import type { EventEnvelope } from '../../../../contracts/events/events.js';
import { taskId } from '../../ids.js';
import type { GlobalOptions } from '../../options.js';
import { eventLine } from '../../output/event-line.js';
import { fieldLines } from '../../output/fields.js';
import { printOne } from '../../output/print.js';
import { say } from '../../output/say.js';
import { timesFor, type ShowTime } from '../../output/times.js';

/** `ksi dead show ID` */
export function register(dead: Command): void {
  dead
    .command('show')
    .description('Show a dead letter, with its command and history')
    .argument('<id>', 'the task’s id', taskId)
    .withValues({ id: 'dead' })
    .withExamples('ksi dead show ID', 'ksi dead show ID -o json | jq -r .command.prompt')
    .calls(show);
}

async function show(client: KsiClient, id: string, options: GlobalOptions): Promise<void> {
  const letter = await client.dead.get(id);
  printOne(letter, (each) => described(each, timesFor(options)), options);
  if (options.output === 'text') say(options, `\nRequeue it: ksi dead retry ${id}`);
}

function described({ command, history, error, ...identity }: DeadLetter, when: ShowTime): string {
  const facts = fieldLines({ ...identity, error: `${error.code}: ${error.message}` }, when);
  const events = history.map(({ type, timestamp, data }) =>
    eventLine({ type, data: data as EventEnvelope['data'] }, when(timestamp)),
  );
  const request = typeof command === 'string' ? command : JSON.stringify(command, undefined, 2);
  return `${[facts, 'command', request, '', 'history', ...events].join('\n')}\n`;
}
