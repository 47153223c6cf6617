import type { Config } from '../../contracts/config/config.js';
import type { WorkspaceShown, WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import type { Broker } from '../broker/connect.js';
import { readPlaces, rootsWithPlaces } from '../broker/workspace-records.js';
import { overlap } from '../broker/workspace-rules.js';
import { writersIn } from '../workspaces/roots.js';
import { guarded } from '../errors/api-error.js';
import { maySee, type Principal } from '../access/principal.js';

/** The workspaces in which tasks write, or for which they wait: those of the principal's tasks, and what is in their way. @throws {ApiError} */
export async function workspacesOf(
  { broker, config }: { readonly broker: Broker; readonly config: Config },
  principal: Principal,
): Promise<WorkspaceShown[]> {
  const roots = await guarded(() => rootsWithPlaces(broker));
  const most = writersIn(config.KSI_WORKSPACE_WRITERS);
  const shown = await Promise.all(
    roots.map(async (root) => {
      const { places } = await guarded(() => readPlaces(broker, root));
      const all = [...places.writers, ...places.waiting];
      const own = all.filter(({ owner }) => maySee(principal, owner)).map(({ workspace }) => workspace);
      const names = new Set(all.map(({ workspace }) => workspace));
      return [...names]
        .filter((name) => own.some((each) => overlap(each, name)))
        .map((workspace): WorkspaceShown => {
          const isHere = (task: WorkspaceWaiter): boolean => task.workspace === workspace;
          const told = ({ task_id, owner, since }: WorkspaceWaiter) => ({
            ...(maySee(principal, owner) ? { task_id } : {}),
            since,
          });
          return {
            workspace,
            limit: most(root),
            writers: places.writers.filter(isHere).map((writer) => ({
              ...told(writer),
              ...(writer.waits_for === undefined || !maySee(principal, writer.owner)
                ? {}
                : { waits_for: writer.waits_for }),
            })),
            waiting: places.waiting.filter(isHere).map(told),
          };
        });
    }),
  );
  return shown.flat().toSorted((a, b) => a.workspace.localeCompare(b.workspace));
}
