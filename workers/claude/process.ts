import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream';
import type { SpawnedProcess, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import { withPipes } from '../../src/process/with-pipes.js';
import { furtherDescriptors, type FurtherDescriptors } from './descriptors.js';
import type { ContainedLauncher, ContainedInvocation, RunPlace } from './contained-launcher.js';
import { LargeValues } from './large-values.js';
import { openFolder } from './open-folder.js';
import { StreamLines } from './stream-lines.js';
import { OutputTail } from './output-tail.js';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How long to wait for the rest of the output after the exit: a child that left the group may hold the pipes open. */
const OUTPUT_GRACE_MS = 300;

/**
 * A claude process and its children, in their own process group, so that all can be ended at once.
 * Its stdout passes a gate that delays it while events wait for the broker.
 */
export class ClaudeProcess implements SpawnedProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderrTail = new OutputTail();
  readonly stdoutTail = new OutputTail();
  /** The large values of the process's messages. */
  readonly large = new LargeValues();
  /** Why the process could not be started. */
  spawnError: NodeJS.ErrnoException | undefined;
  /** Resolves when the process has ended and its output is read. Never rejects. Resolves to undefined if it never ran. */
  readonly exited: Promise<Exit | undefined>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #ending: Promise<void> | undefined;

  /**
   * @param gate receives the number of bytes read. Reading continues when its promise resolves; undefined: at once.
   * @throws {FolderMoved}, and the system's error when a resource for a process is missing.
   */
  constructor(
    options: SpawnOptions,
    launcher: ContainedLauncher,
    place: RunPlace,
    gate: (bytes: number) => Promise<void> | undefined,
  ) {
    const { child, started } = start(options, launcher, place);
    this.#child = child;
    // The SDK alone adds eight listeners to a warm process.
    this.#child.setMaxListeners(32);
    this.stdin = this.#restoring();
    // A write to a process that has ended. Its exit tells more.
    for (const stream of [this.stdin, this.#child.stdin]) stream.on('error', () => undefined);
    this.stdout = this.#child.stdout.pipe(this.#gated(gate));
    this.#child.stderr.on('data', (chunk: Buffer) => this.stderrTail.add(chunk));
    this.exited = this.#watch(this.#child.pid === undefined ? undefined : started(this.#child.pid));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get killed(): boolean {
    return this.#child.killed;
  }

  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  get signalCode(): NodeJS.Signals | null {
    return this.#child.signalCode;
  }

  on(event: 'exit' | 'error', listener: never): void {
    this.#child.on(event, listener);
  }

  once(event: 'exit' | 'error', listener: never): void {
    this.#child.once(event, listener);
  }

  off(event: 'exit' | 'error', listener: never): void {
    this.#child.off(event, listener);
  }

  /** Sends a signal to the whole group. */
  kill(signal: NodeJS.Signals): boolean {
    const { pid } = this.#child;
    if (pid === undefined) return false;
    try {
      return process.kill(-pid, signal);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // EPERM: the rest of the group belongs to another user (Claude ran sudo). The worker must not fail for that.
      if (code === 'ESRCH' || code === 'EPERM') return false;
      throw error;
    }
  }

  /** Sends SIGTERM to the whole group, and SIGKILL after `graceMs`. Resolves when the process has ended. Idempotent. */
  terminate(graceMs: number): Promise<void> {
    this.#ending ??= this.#terminate(graceMs);
    return this.#ending;
  }

  async #terminate(graceMs: number): Promise<void> {
    this.kill('SIGTERM');
    const hard = setTimeout(() => this.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(hard);
  }

  #watch(ended: (() => void) | undefined): Promise<Exit | undefined> {
    return new Promise((resolve) => {
      this.#child.once('error', (error: NodeJS.ErrnoException) => {
        // Also emitted when a running process cannot be signalled. Its exit then follows.
        if (this.#child.pid !== undefined) return;
        this.spawnError = error;
        resolve(undefined);
      });
      this.#child.once('exit', (code, signal) => {
        // Leftover children, while the group's id cannot have been reused.
        this.kill('SIGKILL');
        ended?.();
        const late = setTimeout(() => resolve({ code, signal }), OUTPUT_GRACE_MS);
        this.#child.once('close', () => {
          clearTimeout(late);
          resolve({ code, signal });
        });
      });
    });
  }

  #gated(gate: (bytes: number) => Promise<void> | undefined): Transform {
    const tail = this.stdoutTail;
    const lines = new StreamLines(this.large);
    const take = async (chunk: Buffer): Promise<Buffer> => {
      await gate(chunk.length);
      return lines.take(chunk);
    };
    const pass = async (passing: Promise<Buffer>, done: TransformCallback): Promise<void> => {
      try {
        done(null, await passing);
      } catch (error) {
        done(error as Error);
      }
    };
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        tail.add(chunk);
        void pass(take(chunk), done);
      },
      flush(done) {
        void pass(lines.rest(), done);
      },
    });
  }

  /** Puts large values back into data for Claude: answers repeat values of its messages, such as the input of an allowed tool. */
  #restoring(): Writable {
    const { large } = this;
    const restoring = new Transform({
      decodeStrings: false,
      transform(data: string | Buffer, _encoding, done) {
        for (const piece of large.restore(data.toString())) this.push(piece);
        done();
      },
    });
    restoring.pipe(this.#child.stdin);
    return restoring;
  }
}

interface Started {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly started: ContainedInvocation['started'];
}

/** @throws {FolderMoved}, and the errors of `spawn`, such as E2BIG. */
function start(
  { command: executable, args, env }: SpawnOptions,
  launcher: ContainedLauncher,
  place: RunPlace,
): Started {
  // Scripts run with this process's own node: Claude's PATH may have none.
  const command = executable === 'node' ? process.execPath : executable;
  // To resume a session, the SDK writes its transcript to a separate configuration folder, outside the run's slot.
  const { CLAUDE_CONFIG_DIR: config } = env;
  const visible = config === undefined ? place.visible : [...place.visible, config];
  const sandboxed = launcher.kind === 'sandbox';
  const folder = openFolder(place.source ?? place.cwd);
  let further: FurtherDescriptors | undefined;
  try {
    further = furtherDescriptors(sandboxed ? folder.fd : undefined);
    const kept = launcher.contain({ command, args }, env, { ...place, visible, empty: further.empty });
    const { stdio } = further;
    const child = withPipes(() =>
      spawn(kept.command, kept.args, {
        env: kept.env,
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', ...stdio],
        // In the sandbox, bubblewrap changes to the workspace.
        cwd: sandboxed ? '/' : folder.path,
      }),
    ) as ChildProcessByStdio<Writable, Readable, Readable>;
    return { child, started: (group) => kept.started(group) };
  } finally {
    further?.close();
    folder.close();
  }
}
