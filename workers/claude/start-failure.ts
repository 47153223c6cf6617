import { shortageOf } from './shortage-of.js';
import type { ClaudeEnding } from './ending.js';
import type { ClaudeProcess, Exit } from './process.js';

/** The programs that contain a run, and start it (containment.ts). */
const CONTAINER = /^(?:env|bwrap|setpriv|unshare|sh)(?:: \d+)?: /;

/** The system errors in these programs' messages. */
const SHORTAGES: readonly (readonly [RegExp, string])[] = [
  [/resource temporarily unavailable|cannot fork/i, 'EAGAIN'],
  [/cannot allocate memory/i, 'ENOMEM'],
  [/too many open files in system/i, 'ENFILE'],
  [/too many open files/i, 'EMFILE'],
  [/no space left on device/i, 'ENOSPC'],
];

/** Exit codes of shells and `env`: the program could not be run, does not exist, or is not a valid script. */
const NOT_RUN: readonly (number | null | undefined)[] = [126, 127, 2];

/** Why a run could not start, by the system's error or the messages of the containing programs. Empty: it started. */
export function startOf(
  { spawnError, stdoutTail, stderrTail }: Pick<ClaudeProcess, 'spawnError' | 'stdoutTail' | 'stderrTail'>,
  exit: Exit | undefined,
  executable: string | undefined,
): Pick<ClaudeEnding, 'shortage' | 'spawnError'> {
  if (spawnError !== undefined) {
    const { code = '', message, path = '' } = spawnError;
    const shortage = shortageOf(spawnError);
    return shortage === undefined ? { spawnError: { code, message, path } } : { shortage };
  }
  const stderr = stderrTail.text().trimEnd();
  const last = stderr.slice(stderr.lastIndexOf('\n') + 1);
  const byContainer = CONTAINER.test(last) || (executable !== undefined && last.startsWith(`${executable}: `));
  if (exit?.code === 0 || stdoutTail.text() !== '' || !byContainer) return {};
  const code = SHORTAGES.find(([pattern]) => pattern.test(last))?.[1];
  if (code !== undefined) return { shortage: shortageOf(Object.assign(new Error(last), { code })) };
  return NOT_RUN.includes(exit?.code) ? { spawnError: { code: '', message: last, path: executable ?? 'claude' } } : {};
}
