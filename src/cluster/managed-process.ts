import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { killGroup } from '../process/terminate.js';
import { identify, memoryOf, type ProcessIdentity } from '../process/identity.js';
import { restartPause } from '../process/restart-pause.js';
import type { ProcessSpec, Role } from './plan.js';
import { defined } from '../defined.js';

export type ProcessState = 'running' | 'restarting' | 'stopping' | 'stopped';

export interface ProcessStatus {
  readonly name: string;
  readonly role: Role;
  readonly state: ProcessState;
  readonly pid?: number;
  readonly restarts: number;
  readonly uptime_s?: number;
  readonly memory_bytes?: number;
  readonly address?: string;
  /** How the process last ended. Absent if it never has. */
  readonly last_end?: string;
  readonly log: string;
}

const exitCode = (code: number | string): string => `exit code ${code}`;
const ENDED_WELL = exitCode(0);

/** A longer log is rotated when its process starts. One rotated log is kept. */
const LOG_MAX_BYTES = 64 * 1024 * 1024;

/** Runs a process, and restarts it with backoff whenever it ends by itself. */
export class ManagedProcess {
  #spec: ProcessSpec;
  readonly #logFile: string;
  readonly #log: Logger;
  readonly #onChange: () => void;
  readonly #longestPauseMs: () => number;
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #identity: ProcessIdentity | undefined;
  #startedAt = 0;
  #restarts = 0;
  #lastEnd: string | undefined;
  #running: Promise<void> | undefined;
  /** Set while a restart is asked for. Called when the process has started again, or was stopped instead. */
  #restarted: (() => void) | undefined;
  #pause = new AbortController();

  /**
   * @param options.longestPauseMs the limit of the backoff; called at each end
   * @param options.onChange called after every start and end
   */
  constructor(options: {
    spec: ProcessSpec;
    logFile: string;
    log: Logger;
    longestPauseMs: () => number;
    onChange: () => void;
  }) {
    this.#spec = options.spec;
    this.#logFile = options.logFile;
    this.#log = options.log.child({ process: options.spec.name });
    this.#onChange = options.onChange;
    this.#longestPauseMs = options.longestPauseMs;
  }

  get spec(): ProcessSpec {
    return this.#spec;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get logFile(): string {
    return this.#logFile;
  }

  get lastEnd(): string | undefined {
    return this.#lastEnd;
  }

  /** Undefined while the process does not run. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }

  start(): void {
    this.#running ??= this.#keepRunning();
  }

  /** Sends SIGTERM, and SIGKILL to the process group after the grace period. Resolves when the process has ended. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Ends the process like `stop`, and starts it again at once, as `spec` says. Resolves when it has started again, or was stopped instead. */
  async restart(spec: ProcessSpec = this.#spec): Promise<void> {
    if (this.#stopping.signal.aborted || this.#running === undefined) return;
    const { graceMs } = this.#spec;
    this.#spec = spec;
    const restarted = new Promise<void>((resolve) => {
      this.#restarted = resolve;
    });
    this.#pause.abort();
    const child = this.#child;
    child?.kill('SIGTERM');
    const timer = setTimeout(() => child !== undefined && this.#kill(child, graceMs), graceMs);
    child?.once('exit', () => clearTimeout(timer));
    await Promise.race([restarted, this.#running]);
    clearTimeout(timer);
  }

  status(): ProcessStatus {
    const { name, role, address } = this.spec;
    const pid = this.#child?.pid;
    const memory = pid === undefined ? undefined : memoryOf(pid);
    return defined({
      name,
      role,
      state: this.#state(),
      ...(pid === undefined ? {} : { pid, uptime_s: Math.floor((performance.now() - this.#startedAt) / 1000) }),
      restarts: this.#restarts,
      memory_bytes: memory,
      address,
      last_end: this.#lastEnd,
      log: this.#logFile,
    });
  }

  #state(): ProcessState {
    const { aborted } = this.#stopping.signal;
    if (this.#child !== undefined) return aborted ? 'stopping' : 'running';
    return aborted || this.#running === undefined ? 'stopped' : 'restarting';
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#stopping;
    let pause = 0;
    while (!signal.aborted) {
      const end = await this.#runOnce();
      const ranMs = performance.now() - this.#startedAt;
      this.#lastEnd = end;
      if (signal.aborted) {
        this.#log.info({ end }, 'stopped');
        this.#onChange();
        return;
      }
      if (this.#restarted !== undefined) {
        pause = 0;
        this.#log.info({ end }, 'ended; starting it again as requested');
        continue;
      }
      if (this.spec.mayEnd === true && end === ENDED_WELL) {
        this.#log.info({ end }, 'ended on request');
        this.#stopping.abort();
        this.#onChange();
        return;
      }
      pause = restartPause(pause, ranMs, this.#longestPauseMs());
      this.#restarts += 1;
      this.#log.warn({ end, ran_ms: Math.round(ranMs), pause_ms: pause, log: this.#logFile }, 'ended; restarting');
      this.#onChange();
      this.#pause = new AbortController();
      const woken = AbortSignal.any([signal, this.#pause.signal]);
      await sleep(pause, undefined, { signal: woken }).catch(() => undefined);
    }
  }

  /** @returns how the process ended, as text */
  async #runOnce(): Promise<string> {
    const spec = this.#spec;
    const { command, args, env } = spec;
    this.#startedAt = performance.now();
    const log = openLog(this.#logFile, this.#log);
    const child = spawn(command, args, {
      env: { ...env },
      // The pipe closes when the supervisor ends, even by SIGKILL.
      stdio: ['pipe', log, log],
      // In its own group, the process can be killed with its children, and the terminal's Ctrl-C does not reach it.
      detached: true,
    });
    if (log !== 'ignore') closeSync(log);
    child.stdin?.on('error', () => undefined);
    try {
      await once(child, 'spawn');
    } catch (error) {
      this.#requestedRestartIsOver();
      return `could not be started: ${(error as Error).message}`;
    }
    this.#child = child;
    this.#identity = child.pid === undefined ? undefined : identify(child.pid);
    this.#log.info({ pid: child.pid }, 'started');
    // A restart during the spawn waits for a process with the new settings.
    if (this.#spec === spec) this.#requestedRestartIsOver();
    else child.kill('SIGTERM');
    this.#onChange();
    await this.#untilEnd(child);
    this.#child = undefined;
    this.#identity = undefined;
    return child.signalCode === null ? exitCode(child.exitCode ?? '?') : `signal ${child.signalCode}`;
  }

  #requestedRestartIsOver(): void {
    this.#restarted?.();
    this.#restarted = undefined;
  }

  /** Waits until the process ends. A stop terminates it. */
  async #untilEnd(child: ChildProcess): Promise<void> {
    const { signal } = this.#stopping;
    let timer: NodeJS.Timeout | undefined;
    const end = (): void => {
      child.kill('SIGTERM');
      timer = setTimeout(() => this.#kill(child, this.spec.graceMs), this.spec.graceMs);
    };
    signal.addEventListener('abort', end, { once: true });
    // A stop may have come during the spawn.
    if (signal.aborted) end();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    signal.removeEventListener('abort', end);
    clearTimeout(timer);
  }

  #kill(child: ChildProcess, graceMs: number): void {
    if (child.pid === undefined) return;
    this.#log.warn({ grace_ms: graceMs }, 'did not end within its grace period; killing it');
    killGroup(child.pid);
  }
}

/** @returns `ignore` if the file cannot be opened: the process runs without a log */
function openLog(path: string, log: Logger): number | 'ignore' {
  try {
    if (existsSync(path) && statSync(path).size > LOG_MAX_BYTES) renameSync(path, `${path}.1`);
    return openSync(path, 'a', 0o600);
  } catch (error) {
    log.error({ err: error, path }, 'could not open the log file; the output of the process is lost');
    return 'ignore';
  }
}
