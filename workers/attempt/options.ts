import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { TaskIdentity } from '../../src/broker/task-states.js';
import type { Redaction } from '../claude/redaction.js';
import type { Claim } from './claim.js';
import type { WorkerContext } from './context.js';
import type { AttemptEvents } from './events.js';
import type { Lease } from './lease.js';
import type { EffectivePolicy } from './policy.js';
import type { WorkspacePlace } from './workspace-place.js';

export interface AttemptOptions {
  readonly context: WorkerContext;
  readonly slot: number;
  readonly lease: Lease;
  readonly command: SpawnCommand;
  readonly policy: EffectivePolicy;
  readonly identity: TaskIdentity;
  readonly claim: Claim;
  readonly events: AttemptEvents;
  readonly redaction: Redaction;
  /** The attempt's right to write in a shared workspace. Undefined: it writes in none. */
  readonly place: WorkspacePlace | undefined;
}
