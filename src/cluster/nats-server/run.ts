import { execFile } from 'node:child_process';
import { defined } from '../../defined.js';

/** Runs a program to its end. @returns its stdout @throws an Error with the last line of its stderr */
export function run(
  program: string,
  args: readonly string[],
  options: { timeoutMs: number; cwd?: string; signal?: AbortSignal | undefined },
): Promise<string> {
  const { timeoutMs, cwd, signal } = options;
  return new Promise((resolve, reject) => {
    execFile(
      program,
      [...args],
      defined({
        timeout: timeoutMs,
        maxBuffer: 16 * 1024 * 1024,
        encoding: 'utf8',
        // Callers parse the output, so it must not depend on the user's language.
        env: { ...process.env, LC_ALL: 'C' },
        cwd,
        signal,
      }),
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        const why =
          error.killed === true ? `took longer than ${timeoutMs / 1000} s` : lastLine(stderr) || error.message;
        reject(new Error(`${program}: ${why}`, { cause: error }));
      },
    );
  });
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
