import type { Logger } from 'pino';
import { v5 as uuidv5 } from 'uuid';
import type { Task } from '../../contracts/tasks/task.js';
import { SESSION_NAMESPACE } from '../../contracts/wire/names.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { KsiApi } from '../client/api.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { KsiError, KsiTaskError } from '../client/errors.js';
import { isTransient } from './errors.js';
import type { RunJournal, PendingRun } from './files/run-journal.js';
import type { SessionLog } from './files/session-log.js';
import { systemClock, timestampOf } from '../clock.js';
import { defined } from '../defined.js';

/** A client's request for a run. */
export interface RunRequest {
  readonly prompt: string;
  readonly sessionId: string | undefined;
  readonly model: string;
  /** In the old protocol. */
  readonly agentId: string | undefined;
  readonly tools: boolean;
  readonly announce: boolean;
}

export interface StartedRun {
  readonly pending: PendingRun;
  /** Resolves with the ended task. Rejects if the bridge stops first. */
  readonly ended: Promise<Task>;
}

/** Sends an agent a message that its run has ended. */
export type Announce = (run: PendingRun, task: Task, messageId: string, signal: AbortSignal) => Promise<void>;

/** Name of the metadata field with the agent, for `GET /tasks?metadata=legacy_agent:ID`. */
export const AGENT_METADATA = 'legacy_agent';
/** KSI's limit for a metadata value. */
const MAX_METADATA_CHARS = 256;

interface RunsOptions {
  readonly client: KsiApi;
  /** The tool rules that a client can enable. */
  readonly tools: readonly string[];
  readonly journal: RunJournal;
  readonly sessionLog: SessionLog;
  readonly announce: Announce;
  readonly log: Logger;
}

/** Follows the runs that clients requested. Logs the end of each and announces it to the agent. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #stopping = new AbortController();
  readonly #following = new Map<string, { run: PendingRun; done: Promise<Task> }>();

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Follows the runs that were pending when the last bridge ended. */
  async resume(): Promise<void> {
    const { journal, log } = this.#options;
    const pending = await journal.pending((file, error) =>
      log.error({ err: error, file }, 'could not read a pending run; its end will not be announced'),
    );
    for (const run of pending) void this.#follow(run, true);
    if (pending.length > 0) log.info({ runs: pending.length }, 'following the runs that the last bridge left');
  }

  /** Resolves when the task is stored. @throws {KsiError | KsiUnreachableError} if KSI does not accept it */
  async start(request: RunRequest): Promise<StartedRun> {
    const { client, journal } = this.#options;
    const asked_at = timestampOf(systemClock);
    const task = await client.spawn(this.#request(request), { signal: this.#stopping.signal });
    const pending: PendingRun = {
      task_id: task.task_id,
      session_id: task.session_id,
      since: task.since,
      prompt: request.prompt,
      asked_at,
      model: request.model,
      agent_id: request.agentId,
      announce: request.announce,
    };
    await journal.add(pending);
    return { pending, ended: this.#follow(pending) };
  }

  /** The pending run of a task, if this bridge follows it. */
  known(taskId: string): PendingRun | undefined {
    return this.#following.get(taskId)?.run;
  }

  /** Leaves the pending runs to the next bridge. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the bridge stops'));
    await Promise.allSettled([...this.#following.values()].map(({ done }) => done));
    await this.#options.sessionLog.idle();
  }

  #request({ prompt, sessionId, model, agentId, tools }: RunRequest): SpawnRequest {
    const rules = [...this.#options.tools];
    return defined({
      prompt,
      model,
      include_deltas: false,
      session_id: sessionId,
      ...(tools ? { allowed_tools: rules } : { disallowed_tools: rules }),
      ...(agentId === undefined ? {} : { metadata: { [AGENT_METADATA]: agentId.slice(0, MAX_METADATA_CHARS) } }),
    });
  }

  /** @param isOld whether the last bridge may already have logged or announced the end */
  #follow(run: PendingRun, isOld = false): Promise<Task> {
    const ended = this.#ended(run);
    const done = ended.then(async (task) => {
      await this.#report(run, task, isOld);
      return task;
    });
    this.#following.set(run.task_id, { run, done });
    void done
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#options.log.error({ err: error, task_id: run.task_id }, 'could not follow a run to its end');
      })
      .finally(() => this.#following.delete(run.task_id));
    return done;
  }

  /** Waits for the outcome without a time limit, and through outages. */
  async #ended(run: PendingRun): Promise<Task> {
    const { client, log } = this.#options;
    const { signal } = this.#stopping;
    for (let tries = 0; ; tries++) {
      try {
        return await client.tasks.handle(run.task_id, { since: run.since }).result({ signal });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof KsiTaskError) return error.task;
        if (error instanceof KsiError && error.code === 'not_found') return deleted(run);
        if (!isTransient(error)) throw error;
        log.warn({ err: error, task_id: run.task_id }, 'could not wait for the outcome of a run; retrying');
        await pause(pauseBefore(tries), signal);
      }
    }
  }

  async #report(run: PendingRun, task: Task, isOld: boolean): Promise<void> {
    const { journal, announce, log } = this.#options;
    try {
      await this.#log(run, task, isOld);
    } catch (error) {
      // A full disk must not delay the agent's message.
      log.error({ err: error, task_id: run.task_id }, 'could not write the session log');
    }
    if (run.announce)
      await announce(run, task, uuidv5(`PROCESS_COMPLETE/${run.task_id}`, SESSION_NAMESPACE), this.#stopping.signal);
    await journal.remove(run.task_id);
  }

  async #log(run: PendingRun, task: Task, isOld: boolean): Promise<void> {
    const { sessionLog } = this.#options;
    const of = { sessionId: run.session_id, processId: run.task_id };
    if (isOld && (await sessionLog.has(of))) return;
    await sessionLog.append({
      ...of,
      prompt: run.prompt,
      askedAt: run.asked_at,
      endedAt: task.ended_at ?? timestampOf(systemClock),
      result: resultOf(task),
      agentId: run.agent_id,
    });
  }
}

/** Stands in for a task that was deleted, before or after its end. */
const deleted = (run: PendingRun): Task => ({
  task_id: run.task_id,
  session_id: run.session_id,
  owner: '',
  status: 'cancelled',
  queue: '',
  priority: 'normal',
  prompt_preview: '',
  created_at: run.asked_at,
  attempt: 0,
  reason: 'deleted',
});

/** The answer to a synchronous SPAWN: Claude's result object, or an object with `error`. */
export function resultOf(task: Task): Record<string, unknown> {
  const { status, output = {}, error, reason, session_id } = task;
  if (status === 'completed') return { session_id, ...output };
  const why = error?.message ?? `The task is ${status}${reason === undefined ? '' : ` (${reason})`}`;
  return { ...output, error: why, error_code: error?.code ?? status, session_id, process_id: task.task_id };
}
