import type { Config } from '../../contracts/config/config.js';
import { rootOf, type WorkspaceView, type WorkspaceWaiter } from '../../contracts/tasks/workspace.js';
import type { Broker } from '../broker/connect.js';
import { readPlaces, rootsWithPlaces } from '../broker/workspace-records.js';
import { overlap } from '../broker/workspace-rules.js';
import type { ReadModel } from '../store/read-model.js';
import { writersIn } from '../workspaces/roots.js';
import { withApiErrors } from '../errors/api-error.js';
import { maySee, type Principal } from '../access/principal.js';

interface Sources {
  readonly broker: Broker;
  readonly config: Config;
  readonly model: Pick<ReadModel, 'list'>;
}

type Shown = Pick<WorkspaceWaiter, 'task_id' | 'owner' | 'workspace' | 'since'>;

/** The workspaces of the principal's tasks, and overlapping workspaces. @throws {ApiError} */
export async function workspacesOf({ broker, config, model }: Sources, principal: Principal): Promise<WorkspaceView[]> {
  const [roots, readers] = await Promise.all([withApiErrors(() => rootsWithPlaces(broker)), readersOf(model)]);
  const kept = await withApiErrors(() => Promise.all(roots.map((root) => readPlaces(broker, root))));
  const writers = kept.flatMap(({ places }) => places.writers);
  const waiting = kept.flatMap(({ places }) => places.waiting);
  const all: Shown[] = [...writers, ...waiting, ...readers];
  const own = new Set(all.filter(({ owner }) => maySee(principal, owner)).map(({ workspace }) => workspace));
  const names = [...new Set(all.map(({ workspace }) => workspace))];
  const maxWriters = writersIn(config.KSI_WORKSPACE_WRITERS);
  const toVisible = ({ task_id, owner, since }: Shown) => ({ ...(maySee(principal, owner) ? { task_id } : {}), since });
  return names
    .filter((name) => [...own].some((each) => overlap(each, name)))
    .toSorted((a, b) => a.localeCompare(b))
    .map((name) => {
      const isHere = ({ workspace }: Shown): boolean => workspace === name;
      return {
        workspace: name,
        limit: maxWriters(rootOf(name)),
        writers: writers.filter(isHere).map((writer) => ({
          ...toVisible(writer),
          ...(writer.waits_for === undefined || !maySee(principal, writer.owner)
            ? {}
            : { waits_for: writer.waits_for }),
        })),
        readers: readers.filter(isHere).map(toVisible),
        waiting: waiting.filter(isHere).map(toVisible),
      };
    });
}

/** There are no more of them than workers have slots. */
async function readersOf(model: Sources['model']): Promise<Shown[]> {
  const { rows } = await model.list({ owner: undefined, status: ['running'] }, Infinity);
  return rows.flatMap(({ task_id, owner, reads_workspace: workspace, started_at: since }) =>
    workspace === undefined || since === undefined ? [] : [{ task_id, owner, workspace, since }],
  );
}
