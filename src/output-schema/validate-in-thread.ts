import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Limit } from '../limit.js';
import type { ValidationRequest, ValidationResult } from './validation.js';

/** A schema of 64 KiB takes about a second if two processes share a core. */
const MAX_MS = 5_000;
const MEMORY_MB = 256;
const MAX_CACHED = 256;
/** Together, the threads may use this many times MEMORY_MB. */
const THREADS = new Limit(4);

const results = new Map<string, ValidationResult>();
/** The last validation of each owner. */
const running = new Map<string, Promise<unknown>>();

/**
 * Validates schemas and answers in a thread, one at a time for each owner. A schema may take any amount of time and memory, and must hold up
 * neither the event loop nor other owners. Never rejects.
 */
export async function validateInThread(
  request: ValidationRequest,
  owner: string,
  maxMs = MAX_MS,
): Promise<ValidationResult> {
  const key = createHash('sha256').update(JSON.stringify(request)).digest('base64');
  const known = results.get(key);
  if (known !== undefined) return known;
  const before = running.get(owner) ?? Promise.resolve();
  const validated = before.then(() => THREADS.run(() => inThread(request, maxMs)));
  const settled = validated.then(
    () => undefined,
    () => undefined,
  );
  running.set(owner, settled);
  try {
    const result = await validated;
    cache(key, result);
    return result;
  } catch (error) {
    // Not cached: the machine may be less busy the next time.
    return { kind: 'no_schema', mismatches: [{ path: '', message: (error as Error).message }] };
  } finally {
    if (running.get(owner) === settled) running.delete(owner);
  }
}

function cache(key: string, result: ValidationResult): void {
  results.set(key, result);
  const [oldest] = results.keys();
  if (results.size > MAX_CACHED && oldest !== undefined) results.delete(oldest);
}

async function inThread(request: ValidationRequest, maxMs: number): Promise<ValidationResult> {
  const thread = new Worker(new URL('thread.js', import.meta.url), {
    workerData: request,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    // The thread needs none of the process's secrets.
    env: {},
  });
  const limit = AbortSignal.timeout(maxMs);
  try {
    const [result] = (await once(thread, 'message', { signal: limit })) as [ValidationResult];
    return result;
  } catch (error) {
    throw new Error(limit.aborted ? `takes longer than ${maxMs / 1_000} s to check` : 'cannot be checked', {
      cause: error,
    });
  } finally {
    await thread.terminate();
  }
}
