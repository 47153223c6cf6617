import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Limit } from '../limit.js';
import type { Question, Verdict } from './verdict.js';

/** A schema of 64 KiB takes about a second where two processes share a core. */
const LONGEST_MS = 5_000;
const MEMORY_MB = 256;
const KEPT_VERDICTS = 256;
/** Together they may take this many times MEMORY_MB. */
const THREADS = new Limit(4);

const verdicts = new Map<string, Verdict>();
/** By owner: what is judged for that owner. */
const underWay = new Map<string, Promise<unknown>>();

/**
 * Judges schemas and answers beside the event loop, one of each owner at a time: an owner's schema may take any time and memory, and must not
 * hold up other owners. Never rejects.
 */
export async function judge(question: Question, owner: string, longestMs = LONGEST_MS): Promise<Verdict> {
  const key = createHash('sha256').update(JSON.stringify(question)).digest('base64');
  const known = verdicts.get(key);
  if (known !== undefined) return known;
  const before = underWay.get(owner) ?? Promise.resolve();
  const judged = before.then(() => THREADS.run(() => inThread(question, longestMs)));
  const settled = judged.then(
    () => undefined,
    () => undefined,
  );
  underWay.set(owner, settled);
  try {
    const verdict = await judged;
    keep(key, verdict);
    return verdict;
  } catch (error) {
    // Not kept: another time the machine may be less busy.
    return { kind: 'no_schema', mismatches: [{ path: '', message: (error as Error).message }] };
  } finally {
    if (underWay.get(owner) === settled) underWay.delete(owner);
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
