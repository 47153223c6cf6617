import { EXIT } from './exit.js';
import { reportFailure } from './run.js';

/** Does the same to each, one after the other; a failure is told, and the others are still done. */
export async function forEachOf<T>(
  ids: readonly string[],
  work: (id: string) => Promise<T>,
): Promise<{ readonly done: readonly T[]; readonly exitCode: number }> {
  const done: T[] = [];
  let exitCode: number = EXIT.ok;
  for (const id of ids) {
    try {
      done.push(await work(id));
    } catch (error) {
      const code = reportFailure(error);
      if (exitCode === EXIT.ok) exitCode = code;
    }
  }
  return { done, exitCode };
}
