import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { KsiClient } from '../client/client.js';

const EVERY_MS = 5_000;

/** The part of a cluster that `untilDrained` reports on. */
export interface DrainView {
  /** Process ids of the stopping workers. */
  readonly pids: readonly number[];
  readonly url: string;
  readonly token_file: string;
  /** The seconds that running tasks have to finish. */
  readonly drainS: number;
  /** The delay of the first report. Most workers stop earlier. @default 2,000 */
  readonly firstMs?: number;
}

/** Waits until workers have stopped. Reports every few seconds how many tasks they still run, and the time left. */
export async function untilDrained(
  stopped: Promise<unknown>,
  view: DrainView,
  progress: (text: string) => void,
): Promise<void> {
  const ended = new AbortController();
  const reporting = reportTasks(view, progress, ended.signal);
  try {
    await stopped;
  } finally {
    ended.abort();
    await reporting;
  }
}

async function reportTasks(view: DrainView, progress: (text: string) => void, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + view.drainS * 1_000;
  let pause = view.firstMs ?? 2_000;
  for (;;) {
    await sleep(pause, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    pause = EVERY_MS;
    const left = Math.max(0, Math.ceil((deadline - performance.now()) / 1_000));
    // Without an answer the count is missing. The time left is still known.
    const tasks = await runningTasks(view, signal).catch(() => undefined);
    if (signal.aborted) return;
    const which = tasks === undefined ? 'running tasks' : `${tasks} running task${tasks === 1 ? '' : 's'}`;
    progress(
      left > 0
        ? `waiting for ${which} to finish; at most ${left} s left`
        : `ending ${which}; they go back to their queues`,
    );
  }
}

async function runningTasks({ pids, url, token_file }: DrainView, signal: AbortSignal): Promise<number> {
  const client = new KsiClient({ url, token: (await readFile(token_file, 'utf8')).trim() });
  try {
    const { items } = await client.workers.list(
      {},
      { signal: AbortSignal.any([signal, AbortSignal.timeout(EVERY_MS)]) },
    );
    const stopping = new Set(pids);
    return items.reduce((sum, { pid, running }) => sum + (stopping.has(pid) ? running : 0), 0);
  } finally {
    await client.close();
  }
}
