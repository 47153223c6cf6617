import type { DeletionPending } from '../../../contracts/retention/deletion.js';
import type { Command, ValueKind } from '../command.js';
import type { KsiClient } from '../../client/client.js';
import { agreed, mustBeAskable } from '../confirm.js';
import { clientOf } from '../client.js';
import { forEachOf } from '../each.js';
import { EXIT } from '../exit.js';
import { taskIds } from '../ids.js';
import type { GlobalOptions } from '../options.js';
import { say } from '../output/say.js';
import { printLines } from '../output/print.js';
import * as tasks from './delete/tasks.js';

interface Options extends GlobalOptions {
  readonly yes?: true;
}

interface Kind {
  readonly name: 'task' | 'session' | 'conversation' | 'owner';
  readonly description: string;
  readonly argument: string;
  readonly examples: readonly string[];
  /** The name of the id in the printed JSON. */
  readonly key: string;
  /** The object of the confirmation. @param ids at least one. */
  readonly what: (ids: readonly string[]) => string;
  readonly remove: (client: KsiClient, id: string) => Promise<DeletionPending | undefined | void>;
  /** Deletes more than what is named, so it needs `--yes` without a terminal. */
  readonly wide: boolean;
  readonly values?: ValueKind;
}

const KINDS: readonly Kind[] = [
  {
    name: 'task',
    description:
      'Delete ended tasks with their events, prompts, answers and dead letters, and sessions without other tasks',
    argument: 'the tasks’ ids',
    examples: ['ksi delete task ID', 'ksi cancel ID && ksi delete task ID'],
    key: 'task_id',
    what: (ids) => counted(ids, 'task'),
    remove: (client, id) => client.tasks.delete(id),
    wide: false,
    values: 'tasks',
  },
  {
    name: 'session',
    description: 'Delete sessions with their transcripts, working folders and tasks; all tasks must have ended',
    argument: 'the sessions’ UUIDs or names',
    examples: ['ksi delete session notes', 'ksi delete session --yes ID ID'],
    key: 'session_id',
    what: (ids) => `${counted(ids, 'session')} with all tasks`,
    remove: (client, id) => client.sessions.delete(id),
    wide: false,
    values: 'sessions',
  },
  {
    name: 'conversation',
    description: 'End and delete conversations of agents, with the agents and sessions created for them',
    argument: 'the conversations’ ids',
    examples: ['ksi delete conversation ID'],
    key: 'conversation_id',
    what: (ids) => `${counted(ids, 'conversation')} and their transcripts`,
    remove: (client, id) => client.conversations.delete(id),
    wide: false,
    values: 'conversations',
  },
  {
    name: 'owner',
    description: 'Delete all tasks and sessions of owners, including open tasks, and revoke their tokens (scope admin)',
    argument: 'the owners',
    examples: ['ksi delete owner ann', 'ksi delete owner ann --yes'],
    key: 'owner',
    what: (ids) => `all tasks, sessions and tokens of ${ids.join(', ')}`,
    remove: (client, id) => client.owners.delete(id),
    wide: true,
  },
];

/** `ksi delete task|session|conversation|owner ID…` */
export function register(program: Command): void {
  const remove = program
    .command('delete')
    .description('Delete tasks, sessions, conversations, or everything of an owner, permanently')
    .withExamples('ksi delete task ID', 'ksi delete session notes', 'ksi delete owner ann --yes', 'ksi help delete');
  tasks.register(remove);
  for (const kind of KINDS)
    remove
      .command(kind.name)
      .description(kind.description)
      .argument('<ids...>', kind.argument, kind.name === 'task' ? taskIds : several)
      .option('-y, --yes', kind.wide ? 'do not ask; required without a terminal' : 'do not ask')
      .withValues(kind.values === undefined ? {} : { ids: kind.values })
      .withExamples(...kind.examples)
      .runs((ids: string[], options: Options) => removeAll(kind, ids, options));
}

async function removeAll(kind: Kind, ids: readonly string[], options: Options): Promise<number> {
  if (kind.wide) mustBeAskable(kind.what(ids), options);
  await using client = clientOf(options);
  if (!(await agreed(kind.what(ids), options))) return EXIT.failure;
  const { done, exitCode } = await forEachOf(ids, async (id) => {
    const pending = await kind.remove(client, id);
    if (pending !== undefined) reportPending(id, pending, options);
    return { id };
  });
  printLines(
    done.map(({ id }) => ({ [kind.key]: id })),
    (record) => record[kind.key] ?? '',
    options,
  );
  return exitCode;
}

/** Workers retry these files on their own. The user only has to act if a file must be deleted by hand. */
function reportPending(id: string, { undeleted: left }: DeletionPending, options: Options): void {
  say(options, `${id} is deleted. Workers could not delete these files yet and keep retrying (see ksi doctor):`);
  for (const { worker_id: worker, host, path = 'files', reason } of left)
    say(options, `  ${host} (${worker}): ${path}: ${reason}`);
}

const several = (id: string, before: string[] = []): string[] => [...before, id];

const counted = ({ length }: readonly string[], what: string): string => `${length} ${what}${length === 1 ? '' : 's'}`;
