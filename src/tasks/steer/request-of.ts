import { ClaudeOptions } from '../../../contracts/tasks/claude-options.js';
import type { SpawnCommand, SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { Origin } from '../accept/prepared.js';
import { taken } from '../../taken.js';

/** What stands in a command as it stood in the request. */
const SAME = {
  ...ClaudeOptions.properties,
  prompt: true,
  queue: true,
  priority: true,
  workspace: true,
  attachments: true,
  metadata: true,
} as const;

/** An agent's task that is run again is the agent's still, and answers the same message. */
export const ofAgent = (command: SpawnCommand): NonNullable<Origin['ofAgent']> =>
  taken(command, {
    agent_id: true,
    message: true,
    hands: true,
    depth: true,
    spawned_by: true,
    ancestors: true,
    hops: true,
    exchange_id: true,
  });

/** The request that makes a task like an earlier one: in the same session, or in another fork of what that went on from. */
export const requestOf = (command: SpawnCommand): SpawnRequest => ({
  ...taken(command, SAME),
  ...(command.fork_of === undefined
    ? { session_id: command.session_name ?? command.session_id }
    : { session_id: command.fork_of, fork: true }),
  ...command.policy,
});
