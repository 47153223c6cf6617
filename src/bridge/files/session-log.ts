import { appendFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { UUID_PATTERN } from '../../../contracts/wire/names.js';
import { bytesOf } from '../migration/json-file.js';
import { InOrder } from './in-order.js';
import { replaceFile, replaceLink } from './replace.js';
import type { WorkDir } from './work-dir.js';
import { defined } from '../../defined.js';

/** An ended run, as the logs show it. */
export interface LoggedRun {
  readonly sessionId: string;
  readonly prompt: string;
  readonly askedAt: string;
  readonly endedAt: string;
  /** Claude's result object, or an object with `error`. */
  readonly result: Readonly<Record<string, unknown>>;
  readonly processId: string;
  readonly agentId?: string | undefined;
}

const SESSION = new RegExp(UUID_PATTERN);

/** `claude_logs/<session_id>.jsonl`, `claude_logs/latest.jsonl`, `sockets/last_session_id` and `sockets/claude_last_output.json`. */
export class SessionLog {
  readonly #dir: WorkDir;
  readonly #order = new InOrder();

  constructor(dir: WorkDir) {
    this.#dir = dir;
  }

  /** Appends both lines of a run at once, so that those of two runs never mix. */
  append(run: LoggedRun): Promise<void> {
    const file = this.#file(run.sessionId);
    const of = defined({ process_id: run.processId, agent_id: run.agentId });
    const human = { timestamp: run.askedAt, type: 'human', content: run.prompt, ...of };
    const claude = { ...run.result, timestamp: run.endedAt, type: 'claude', ...of };
    return this.#order.do(async () => {
      await appendFile(file, `${JSON.stringify(human)}\n${JSON.stringify(claude)}\n`, {
        mode: 0o600,
      });
      await replaceLink(join(this.#dir.logs, 'latest.jsonl'), basename(file));
      await replaceFile(join(this.#dir.sockets, 'last_session_id'), run.sessionId);
      await replaceFile(join(this.#dir.sockets, 'claude_last_output.json'), `${JSON.stringify(run.result)}\n`);
    });
  }

  /** Whether the log has a run, perhaps from before a crash. Also ends a partial line, so that the next one stays intact. */
  has({ sessionId, processId }: Pick<LoggedRun, 'sessionId' | 'processId'>): Promise<boolean> {
    const file = this.#file(sessionId);
    return this.#order.do(async () => {
      const text = (await bytesOf(file))?.toString('utf8') ?? '';
      const lines = text.split('\n');
      if (lines.pop() !== '') await appendFile(file, '\n');
      // A prompt or answer cannot match, because quotes within it are escaped.
      const id = `"process_id":${JSON.stringify(processId)}`;
      return lines.some((line) => line.includes('"type":"claude"') && line.includes(id));
    });
  }

  #file(sessionId: string): string {
    if (!SESSION.test(sessionId)) throw new Error(`${sessionId} is not a session id`);
    return join(this.#dir.logs, `${sessionId}.jsonl`);
  }

  idle(): Promise<void> {
    return this.#order.idle();
  }
}
