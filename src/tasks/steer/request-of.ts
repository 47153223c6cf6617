import { ClaudeOptions } from '../../../contracts/tasks/claude-options.js';
import type { SpawnCommand, SpawnRequest } from '../../../contracts/tasks/spawn.js';
import type { TaskOrigin } from '../accept/prepare.js';
import { pickFields } from '../../pick-fields.js';

/** Fields that a command has unchanged from its request. */
const SAME = {
  ...ClaudeOptions.properties,
  prompt: true,
  queue: true,
  priority: true,
  workspace: true,
  attachments: true,
  metadata: true,
} as const;

/** A retried task of an agent still belongs to the agent and answers the same message. */
export const ofAgent = (command: SpawnCommand): NonNullable<TaskOrigin['ofAgent']> =>
  pickFields(command, {
    agent_id: true,
    message: true,
    agent_tools: true,
    depth: true,
    spawned_by: true,
    ancestors: true,
    hops: true,
    exchange_id: true,
  });

/** The request that repeats an earlier task: in the same session, or in a new fork of the same origin. */
export const requestOf = (command: SpawnCommand): SpawnRequest => ({
  ...pickFields(command, SAME),
  ...(command.fork_of === undefined
    ? { session_id: command.session_name ?? command.session_id }
    : { session_id: command.fork_of, fork: true }),
  ...command.policy,
});
