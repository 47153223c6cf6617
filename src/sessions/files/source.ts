import {
  WORKER_FILES_ANSWERS,
  WorkerFilesFault,
  type WorkerFilesAnswers,
  type WorkerFilesRequest,
} from '../../../contracts/sessions/worker-files.js';
import type { Session } from '../../../contracts/sessions/sessions.js';
import { check } from '../../../contracts/wire/check.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import type { Principal } from '../../access/principal.js';
import type { Broker } from '../../broker/connect.js';
import { workerProcesses } from '../../broker/workers.js';
import { ApiError, withApiErrors } from '../../errors/api-error.js';
import { parseJson } from '../../json.js';
import type { ReadModel } from '../../store/read-model.js';
import type { Sessions } from '../sessions.js';
import { boundWorkspace } from '../transcript/workspace.js';

/** How long to wait for the workers that have a folder. */
const FIND_MS = 2_500;
/** Workers stop earlier. */
const ANSWER_WITHIN_MS = 10_000;

type Verb = WorkerFilesRequest['verb'];
type FieldsOf<V extends Verb> = Omit<Extract<WorkerFilesRequest, { verb: V }>, 'verb' | 'session_id' | 'workspace'>;

/** The working folder of a session, on the host of a worker that answers for it. */
export interface FolderSource {
  /** @throws {ApiError} */
  ask<V extends Exclude<Verb, 'find'>>(verb: V, fields: FieldsOf<V>): Promise<WorkerFilesAnswers[V]>;
}

/** Finds the working folder of a session that the principal may see. @throws {ApiError} session_not_found, workspace_not_found, worker_unreachable */
export type SourceFinder = (idOrName: string, principal: Principal) => Promise<FolderSource>;

export interface SourceOptions {
  readonly broker: Broker;
  readonly model: Pick<ReadModel, 'get'>;
  readonly sessions: Pick<Sessions, 'one'>;
}

export const sourceFinder =
  ({ broker, model, sessions }: SourceOptions): SourceFinder =>
  async (idOrName, principal) => {
    const session = await sessions.one(idOrName, principal);
    const workspace = await withApiErrors(() => boundWorkspace(broker, session.session_id));
    const folder = { session_id: session.session_id, ...(workspace === undefined ? {} : { workspace }) };
    const process = await workerWith(folder, lastWorker(model, session), broker);
    return { ask: (verb, fields) => ask(broker, process, { ...folder, verb, ...fields }, ANSWER_WITHIN_MS) };
  };

type Folder = Pick<WorkerFilesRequest, 'session_id' | 'workspace'>;

const lastWorker = (model: SourceOptions['model'], { last_task_id: id }: Session): string | undefined =>
  id === '' ? undefined : model.get(id)?.worker_id;

/** The worker that last ran the session, or else one whose host has the folder; of several hosts, the one whose folder changed last. */
async function workerWith(folder: Folder, last: string | undefined, broker: Broker): Promise<string> {
  const workers = await withApiErrors(() => workerProcesses(broker));
  const live = workers.filter(({ worker }) => worker.state !== 'lost');
  const answers = await Promise.all(
    live.map(async ({ process }) => {
      try {
        return { process, answer: await ask(broker, process, { ...folder, verb: 'find' }, FIND_MS) };
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        return { process, error };
      }
    }),
  );
  const found = answers.flatMap(({ process, answer }) => (answer === undefined ? [] : { process, ...answer }));
  const best =
    found.find(({ worker_id }) => worker_id === last) ?? found.toSorted((a, b) => b.changed_at - a.changed_at)[0];
  if (best !== undefined) return best.process;
  const isSilent = answers.some(({ error }) => error?.code === 'worker_unreachable');
  if (isSilent || live.length < workers.length || live.length === 0)
    throw new ApiError('worker_unreachable', 'No worker that answers has the working folder of the session');
  throw new ApiError('workspace_not_found', `No worker has a working folder of the session ${folder.session_id}`);
}

/** @throws {ApiError} */
async function ask<V extends Verb>(
  broker: Broker,
  process: string,
  request: Folder & { readonly verb: V } & FieldsOf<V>,
  timeout: number,
): Promise<WorkerFilesAnswers[V]> {
  const subject = SUBJECT.workspaceFiles(process);
  const reply = await broker.nc.request(subject, JSON.stringify(request), { timeout }).catch((error: unknown) => {
    throw new ApiError('worker_unreachable', `The worker ${process} does not answer for its files`, { cause: error });
  });
  const answer = parseJson(reply.data);
  const fault = check(WorkerFilesFault, answer);
  if (fault.ok) {
    const { fault: code, message } = fault.value;
    throw new ApiError(code === 'absent' ? 'workspace_not_found' : code, `The files cannot be read: ${message}`);
  }
  const checked = check(WORKER_FILES_ANSWERS[request.verb], answer);
  if (!checked.ok)
    throw new ApiError('worker_unreachable', `The worker ${process} gave an answer that KSI does not know`);
  return checked.value as WorkerFilesAnswers[V];
}
