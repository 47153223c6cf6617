import type { SpawnCommand, SpawnRequest } from '../../../contracts/spawn.js';

/** The request that makes a task like an earlier one, in the same session. */
export const requestOf = ({
  prompt,
  session_id,
  session_name,
  queue,
  priority,
  model,
  allowed_tools,
  disallowed_tools,
  workspace,
  policy,
}: SpawnCommand): SpawnRequest => ({
  prompt,
  session_id: session_name ?? session_id,
  queue,
  priority,
  ...(model === undefined ? {} : { model }),
  ...(allowed_tools === undefined ? {} : { allowed_tools }),
  ...(disallowed_tools === undefined ? {} : { disallowed_tools }),
  ...(workspace === undefined ? {} : { workspace }),
  ...policy,
});
