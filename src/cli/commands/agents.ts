import type { Command } from '../command.js';
import * as inbox from './agents/inbox.js';
import * as list from './agents/list.js';
import * as register_ from './agents/register.js';
import * as remove from './agents/remove.js';
import * as show from './agents/show.js';

/** `ksi agents`: named participants, which KSI runs or which are clients. */
export function register(program: Command): void {
  const agents = program
    .command('agents')
    .description('List agents, register, change and remove them, read their inboxes')
    .withExamples(
      'ksi agents',
      'ksi agents register critic --managed --role reviewer --capability review',
      'ksi agents inbox ann --follow',
    );
  for (const each of [list, show, register_, remove, inbox]) each.register(agents);
}
