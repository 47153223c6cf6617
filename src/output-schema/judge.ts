import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Question, Verdict } from './verdict.js';

/** A schema of 64 KiB takes about a second where two processes share a core. */
const LONGEST_MS = 5_000;
const MEMORY_MB = 256;
const KEPT_VERDICTS = 256;

const verdicts = new Map<string, Verdict>();
let last: Promise<unknown> = Promise.resolve();

/** Judges schemas and answers beside the event loop, one at a time: an owner's schema may take any time and memory. Never rejects. */
export async function judge(question: Question, longestMs = LONGEST_MS): Promise<Verdict> {
  const key = createHash('sha256').update(JSON.stringify(question)).digest('base64');
  const known = verdicts.get(key);
  if (known !== undefined) return known;
  const judged = last.then(() => inThread(question, longestMs));
  last = judged.catch(() => undefined);
  try {
    const verdict = await judged;
    keep(key, verdict);
    return verdict;
  } catch (error) {
    // Not kept: another time the machine may be less busy.
    return { kind: 'no_schema', mismatches: [{ path: '', message: (error as Error).message }] };
  }
}

function keep(key: string, verdict: Verdict): void {
  verdicts.set(key, verdict);
  const [oldest] = verdicts.keys();
  if (verdicts.size > KEPT_VERDICTS && oldest !== undefined) verdicts.delete(oldest);
}

async function inThread(question: Question, longestMs: number): Promise<Verdict> {
  const thread = new Worker(new URL('thread.js', import.meta.url), {
    workerData: question,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    // It needs nothing of the process's secrets.
    env: {},
  });
  const limit = AbortSignal.timeout(longestMs);
  try {
    const [verdict] = (await once(thread, 'message', { signal: limit })) as [Verdict];
    return verdict;
  } catch (error) {
    throw new Error(limit.aborted ? `takes longer than ${longestMs / 1_000} s to check` : 'cannot be checked', {
      cause: error,
    });
  } finally {
    await thread.terminate();
  }
}
