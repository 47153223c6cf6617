import type { Logger } from 'pino';
import { v5 as uuidv5 } from 'uuid';
import type { Task } from '../../contracts/tasks/task.js';
import { SESSION_NAMESPACE } from '../../contracts/wire/names.js';
import type { SpawnRequest } from '../../contracts/tasks/spawn.js';
import type { KsiApi } from '../client/api.js';
import { isPassing, pause, pauseBefore } from '../client/backoff.js';
import { KsiError, KsiTaskError, KsiUnreachableError } from '../client/errors.js';
import type { RunJournal, PendingRun } from './files/run-journal.js';
import type { SessionLog } from './files/session-log.js';
import { systemClock, timestampOf } from '../clock.js';

/** What a client asks for. */
export interface AskedRun {
  readonly prompt: string;
  readonly sessionId: string | undefined;
  readonly model: string;
  /** As the client wrote it. */
  readonly agentId: string | undefined;
  readonly tools: boolean;
  readonly announce: boolean;
}

export interface StartedRun {
  readonly pending: PendingRun;
  /** Resolves with the ended task. Rejects when the bridge stops before that. */
  readonly ended: Promise<Task>;
}

/** Tells an agent that its run has ended. */
export type Announce = (run: PendingRun, task: Task, messageId: string, signal: AbortSignal) => Promise<void>;

/** Metadata of the tasks that clients of a bridge asked for: `GET /tasks?metadata=legacy_agent:ID`. */
export const AGENT_METADATA = 'legacy_agent';
/** A value of metadata may be as long. */
const MOST_METADATA_CHARS = 256;

interface RunsOptions {
  readonly client: KsiApi;
  /** Rules of what Claude may use where a client enables tools. */
  readonly tools: readonly string[];
  readonly journal: RunJournal;
  readonly sessionLog: SessionLog;
  readonly announce: Announce;
  readonly log: Logger;
}

/** The runs that clients asked for, from their acceptance until their end is told: in the logs that clients read, and to their agents. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #stopping = new AbortController();
  readonly #following = new Map<string, { run: PendingRun; done: Promise<Task> }>();

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Takes up those that were pending when the last bridge ended. */
  async resume(): Promise<void> {
    const { journal, log } = this.#options;
    const pending = await journal.pending((file, error) =>
      log.error({ err: error, file }, 'a pending run is not readable'),
    );
    for (const run of pending) void this.#follow(run, true);
    if (pending.length > 0) log.info({ runs: pending.length }, 'runs of before are followed on');
  }

  /** @returns once the task is stored. @throws {KsiError | KsiUnreachableError} it was not taken. */
  async start(asked: AskedRun): Promise<StartedRun> {
    const { client, journal } = this.#options;
    const asked_at = timestampOf(systemClock);
    const task = await client.spawn(this.#request(asked), { signal: this.#stopping.signal });
    const pending: PendingRun = {
      task_id: task.task_id,
      session_id: task.session_id,
      since: task.since,
      prompt: asked.prompt,
      asked_at,
      model: asked.model,
      agent_id: asked.agentId,
      announce: asked.announce,
    };
    await journal.add(pending);
    return { pending, ended: this.#follow(pending) };
  }

  /** What is known here of a task beside what KSI knows. */
  known(taskId: string): PendingRun | undefined {
    return this.#following.get(taskId)?.run;
  }

  /** Leaves what has not ended to the next bridge. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the bridge stops'));
    await Promise.allSettled([...this.#following.values()].map(({ done }) => done));
    await this.#options.sessionLog.idle();
  }

  #request({ prompt, sessionId, model, agentId, tools }: AskedRun): SpawnRequest {
    const rules = [...this.#options.tools];
    return {
      prompt,
      model,
      include_deltas: false,
      ...(sessionId === undefined ? {} : { session_id: sessionId }),
      ...(tools ? { allowed_tools: rules } : { disallowed_tools: rules }),
      ...(agentId === undefined ? {} : { metadata: { [AGENT_METADATA]: agentId.slice(0, MOST_METADATA_CHARS) } }),
    };
  }

  /** @param isOld the last bridge may have told some of its end. */
  #follow(run: PendingRun, isOld = false): Promise<Task> {
    const ended = this.#ended(run);
    const done = ended.then(async (task) => {
      await this.#tell(run, task, isOld);
      return task;
    });
    this.#following.set(run.task_id, { run, done });
    void done
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#options.log.error({ err: error, task_id: run.task_id }, 'a run is not followed any more');
      })
      .finally(() => this.#following.delete(run.task_id));
    return done;
  }

  /** However long it takes, and whoever is away in between. */
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
        if (!mayPass(error)) throw error;
        log.warn({ err: error, task_id: run.task_id }, 'the outcome of a run is not to be had; trying again');
        await pause(pauseBefore(tries), signal);
      }
    }
  }

  async #tell(run: PendingRun, task: Task, isOld: boolean): Promise<void> {
    const { journal, announce, log } = this.#options;
    try {
      await this.#log(run, task, isOld);
    } catch (error) {
      // A full disk must not keep the answer from its agent.
      log.error({ err: error, task_id: run.task_id }, 'the session log could not be written');
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

const mayPass = (error: unknown): boolean =>
  error instanceof KsiUnreachableError || (error instanceof KsiError && isPassing(error));

/** Somebody deleted it, before or after its end. */
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

/** What a synchronous SPAWN answers: Claude's own result object, or why there is none. */
export function resultOf(task: Task): Record<string, unknown> {
  const { status, output = {}, error, reason, session_id } = task;
  if (status === 'completed') return { session_id, ...output };
  const why = error?.message ?? `The task is ${status}${reason === undefined ? '' : ` (${reason})`}`;
  return { ...output, error: why, error_code: error?.code ?? status, session_id, process_id: task.task_id };
}
