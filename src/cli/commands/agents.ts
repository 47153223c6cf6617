import type { Command } from '../command.js';
import * as inbox from './agents/inbox.js';
import * as list from './agents/list.js';
import * as register_ from './agents/register.js';
import * as remove from './agents/remove.js';
import * as route from './agents/route.js';
import * as show from './agents/show.js';
import * as spawn from './agents/spawn.js';

/** `ksi agents` */
export function register(program: Command): void {
  const agents = program
    .command('agents')
    .description('List, create, change and remove agents, give them tasks, and read their inboxes')
    .withExamples(
      'ksi agents spawn --profile reviewer "Review the last commit"',
      'ksi agents register critic --managed --role reviewer --capability review',
      'ksi send critic "What do you think of this?" --wait',
      'ksi agents register ann',
      'ksi agents inbox ann --follow',
    );
  for (const each of [list, show, spawn, route, register_, remove, inbox]) each.register(agents);
}
