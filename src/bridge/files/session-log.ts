import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UUID_PATTERN } from '../../../contracts/names.js';
import { InOrder } from './in-order.js';
import { replaceFile, replaceLink } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** A run that has ended, as the logs tell it. */
export interface LoggedRun {
  readonly sessionId: string;
  readonly prompt: string;
  readonly askedAt: string;
  readonly endedAt: string;
  /** Claude's result object, or `{error}`. */
  readonly result: Readonly<Record<string, unknown>>;
  readonly processId: string;
  readonly agentId?: string | undefined;
}

const SESSION = new RegExp(UUID_PATTERN);

/** `claude_logs/<session_id>.jsonl`, `claude_logs/latest.jsonl` and `sockets/last_session_id`. */
export class SessionLog {
  readonly #dir: WorkDir;
  readonly #order = new InOrder();

  constructor(dir: WorkDir) {
    this.#dir = dir;
  }

  /** Both lines of a run at once, so that those of two runs of a session never mix. */
  append(run: LoggedRun): Promise<void> {
    if (!SESSION.test(run.sessionId)) throw new Error(`${run.sessionId} is no session's id`);
    const of = { process_id: run.processId, ...(run.agentId === undefined ? {} : { agent_id: run.agentId }) };
    const human = { timestamp: run.askedAt, type: 'human', content: run.prompt, ...of };
    const claude = { ...run.result, timestamp: run.endedAt, type: 'claude', ...of };
    const name = `${run.sessionId}.jsonl`;
    return this.#order.do(async () => {
      await appendFile(join(this.#dir.logs, name), `${JSON.stringify(human)}\n${JSON.stringify(claude)}\n`, {
        mode: 0o600,
      });
      await replaceLink(join(this.#dir.logs, 'latest.jsonl'), name);
      await replaceFile(join(this.#dir.sockets, 'last_session_id'), run.sessionId);
    });
  }

  idle(): Promise<void> {
    return this.#order.idle();
  }
}
