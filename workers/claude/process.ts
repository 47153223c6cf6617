import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { Transform, type Readable, type TransformCallback, type Writable } from 'node:stream';
import type { SpawnedProcess, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import { withPipes } from '../../src/process/with-pipes.js';
import { furtherDescriptors, type FurtherDescriptors } from './descriptors.js';
import type { Keeper, KeptInvocation, RunPlace } from './keeper.js';
import { LargeValues } from './large-values.js';
import { openFolder } from './open-folder.js';
import { StreamLines } from './stream-lines.js';
import { Tail } from './tail.js';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How long after the exit the rest of its output is waited for: a child that left the group may hold the pipes. */
const OUTPUT_GRACE_MS = 300;

/**
 * The claude process with all that it starts, in a process group of its own, so that it ends as a whole.
 * Its stdout goes through a gate that holds it back while the events wait for the broker.
 */
export class ClaudeProcess implements SpawnedProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderrTail = new Tail();
  readonly stdoutTail = new Tail();
  /** The large values of its messages. */
  readonly large = new LargeValues();
  /** Why it could not be started. */
  spawnError: NodeJS.ErrnoException | undefined;
  /** Resolves when it is gone and its output read; never rejects. Undefined: it never ran. */
  readonly exited: Promise<Exit | undefined>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #ending: Promise<void> | undefined;

  /**
   * @param gate told how many bytes came; what to wait for before Claude is read on; undefined: nothing.
   * @throws {FolderMoved} and what the system says when there is nothing left to start a process with.
   */
  constructor(
    options: SpawnOptions,
    keeper: Keeper,
    place: RunPlace,
    gate: (bytes: number) => Promise<void> | undefined,
  ) {
    const { child, begun } = start(options, keeper, place);
    this.#child = child;
    // The SDK alone has eight on one that it starts ahead of its task.
    this.#child.setMaxListeners(32);
    this.stdin = this.#restoring();
    // A write to a process that is gone: its exit says so better.
    for (const stream of [this.stdin, this.#child.stdin]) stream.on('error', () => undefined);
    this.stdout = this.#child.stdout.pipe(this.#gated(gate));
    this.#child.stderr.on('data', (chunk: Buffer) => this.stderrTail.add(chunk));
    this.exited = this.#watch(this.#child.pid === undefined ? undefined : begun(this.#child.pid));
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

  /** Signals the whole group. */
  kill(signal: NodeJS.Signals): boolean {
    const { pid } = this.#child;
    if (pid === undefined) return false;
    try {
      return process.kill(-pid, signal);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // EPERM: what is left of the group is another user's (it ran sudo), and nothing that a worker should fail for.
      if (code === 'ESRCH' || code === 'EPERM') return false;
      throw error;
    }
  }

  /** SIGTERM to the whole group, SIGKILL after `graceMs`; resolves when it is gone. Idempotent. */
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
        // Also sent when a running one can't be signalled: then its exit is still to come.
        if (this.#child.pid !== undefined) return;
        this.spawnError = error;
        resolve(undefined);
      });
      this.#child.once('exit', (code, signal) => {
        // What it started and left behind, while the group's id is still known to be its own.
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

  /** Puts large values back into what is written to Claude: an answer repeats values of its messages, such as the input of an allowed tool. */
  #restoring(): Writable {
    const { large } = this;
    const restoring = new Transform({
      decodeStrings: false,
      transform(said: string | Buffer, _encoding, done) {
        for (const piece of large.restore(said.toString())) this.push(piece);
        done();
      },
    });
    restoring.pipe(this.#child.stdin);
    return restoring;
  }
}

interface Started {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly begun: KeptInvocation['begun'];
}

/** @throws {FolderMoved} and what `spawn` throws, such as E2BIG. */
function start({ command: asked, args, env }: SpawnOptions, keeper: Keeper, place: RunPlace): Started {
  // The `node` that runs a script is this one: Claude's PATH may hold none.
  const command = asked === 'node' ? process.execPath : asked;
  // To resume a session the SDK puts its transcript into a configuration folder of its own, outside the run's place.
  const { CLAUDE_CONFIG_DIR: config } = env;
  const visible = config === undefined ? place.visible : [...place.visible, config];
  const sandboxed = keeper.kind === 'sandbox';
  const folder = openFolder(place.source ?? place.cwd);
  let further: FurtherDescriptors | undefined;
  try {
    further = furtherDescriptors(sandboxed ? folder.fd : undefined);
    const kept = keeper.keep({ command, args }, env, { ...place, visible, empty: further.empty });
    const { stdio } = further;
    const child = withPipes(() =>
      spawn(kept.command, kept.args, {
        env: kept.env,
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', ...stdio],
        // In the sandbox bubblewrap goes to the workspace.
        cwd: sandboxed ? '/' : folder.path,
      }),
    ) as ChildProcessByStdio<Writable, Readable, Readable>;
    return { child, begun: (group) => kept.begun(group) };
  } finally {
    further?.close();
    folder.close();
  }
}
