import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { REPO_ROOT } from '../fixtures/paths.js';

/** A child of the benchmark's own, which says `{"ready": …}` on its first line of stdout. */
export interface Child<T> {
  readonly ready: T;
  /** The next JSON line that it prints. */
  next(): Promise<unknown>;
  send(line: unknown): void;
  stop(): Promise<void>;
}

export async function startChild<T>(script: string, env: Record<string, string>): Promise<Child<T>> {
  const child = spawn(process.execPath, [join(REPO_ROOT, 'dist', 'test', 'bench', script)], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`${script} ended early`);
    return JSON.parse(line.value) as unknown;
  };
  return {
    ready: (await next()) as T,
    next,
    send: (line) => void child.stdin.write(`${JSON.stringify(line)}\n`),
    stop: () => stopChild(child),
  };
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exited;
}
