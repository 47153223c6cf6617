import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Limit } from '../limit.js';
import type { ValidationRequest, ValidationResult } from './validation.js';

/** A schema of 64 KiB takes about a second if two processes share a core. */
const MAX_MS = 5_000;
const MEMORY_MB = 256;
/** An answer of small objects takes up to 40 bytes of memory for each of its bytes, and some are young. */
const MEMORY_PER_BYTE = 64;
const MAX_MEMORY_MB = 1_280;
const MAX_CACHED = 256;
const THREADS = new Limit(4);

const results = new Map<string, ValidationResult>();
/** The last validation of each owner. */
const running = new Map<string, Promise<unknown>>();

/** The validation could not be completed: the thread could not be started, or ran out of time or memory. This says nothing about the schema or the answer. */
export class NotValidated extends Error {
  override readonly name = 'NotValidated';
}

/**
 * Validates schemas and answers in a thread, one at a time for each owner. A schema may take any amount of time and memory, and must hold up
 * neither the event loop nor other owners. @throws {NotValidated}
 */
export async function validateInThread(
  request: ValidationRequest,
  owner: string,
  maxMs = MAX_MS,
): Promise<ValidationResult> {
  const { schema, answer } = request;
  // Answers rarely repeat, and hashing a large one would block the event loop.
  const key = answer === undefined ? createHash('sha256').update(JSON.stringify(schema)).digest('base64') : undefined;
  const known = key === undefined ? undefined : results.get(key);
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
    if (key !== undefined) cache(key, result);
    return result;
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
  const forAnswer = ((request.answer?.length ?? 0) * MEMORY_PER_BYTE) / 1_048_576;
  const thread = startThread(request, Math.min(MAX_MEMORY_MB, Math.ceil(MEMORY_MB + forAnswer)));
  // The thread may still fail while it is being terminated, and an `error` without a listener would end this process.
  thread.on('error', () => undefined);
  const limit = AbortSignal.timeout(maxMs);
  try {
    const [result] = (await once(thread, 'message', { signal: limit })) as [ValidationResult];
    return result;
  } catch (error) {
    const why = limit.aborted ? `the validation took longer than ${maxMs / 1_000} s` : (error as Error).message;
    throw new NotValidated(why, { cause: error });
  } finally {
    await thread.terminate();
  }
}

function startThread(request: ValidationRequest, memoryMb: number): Worker {
  try {
    return new Worker(new URL('thread.js', import.meta.url), {
      workerData: request,
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
      // The thread needs none of the process's secrets.
      env: {},
    });
  } catch (error) {
    throw new NotValidated('the thread for the validation could not be started', { cause: error });
  }
}
