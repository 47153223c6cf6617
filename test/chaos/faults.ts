import { setTimeout as sleep } from 'node:timers/promises';
import { signal as sendSignal } from '../../src/process/terminate.js';
import { identify, isAlive, type ProcessIdentity } from '../../src/process/identity.js';
import type { Endpoints } from '../../src/cluster/endpoints.js';
import type { PlannedFault } from './fault-plan.js';
import type { Fault, FaultRole, Leftover } from './history.js';
import { untilGone, workersBelow } from './processes.js';

export interface FaultsOptions {
  readonly plan: readonly PlannedFault[];
  /** Read anew at each fault: processes come and go. */
  readonly endpoints: () => Promise<Endpoints>;
  /** In the environment of all processes of the cluster, as `NAME=value`. */
  readonly marker: string;
  /** How long a stopped process stands still: past its lease. */
  readonly stopMs: number;
  readonly onFault: (fault: Fault) => void;
  readonly onLeftover: (leftover: Leftover) => void;
}

/** What Claude's processes may take to be gone after their worker was killed: a promise of KSI's. */
const ORPHANS_GONE_MS = 5_000;

/** Where all processes of a role are down, one that comes back is waited for. */
const TARGET_WITHIN_MS = 15_000;
const TARGET_PAUSE_MS = 100;

const PROCESS_OF: Readonly<Record<FaultRole, string>> = { worker: 'worker-', api: 'api-', broker: 'nats-' };

interface Target {
  readonly name: string;
  readonly identity: ProcessIdentity;
}

/** Kills and freezes processes by a plan. */
export class Faults {
  readonly #options: FaultsOptions;
  readonly #stopped = new Set<number>();
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #running: Promise<void> | undefined;

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  /** Resolves when the whole plan is done, or `stop` is called. */
  run(): Promise<void> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** No more faults; what stands still goes on. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const begun = performance.now();
    for (const planned of this.#options.plan) {
      await this.#pause(begun + planned.afterMs - performance.now());
      if (this.#stopping.signal.aborted) break;
      const done = this.#strike(planned).finally(() => this.#underWay.delete(done));
      this.#underWay.add(done);
    }
    await Promise.all(this.#underWay);
  }

  async #strike(planned: PlannedFault): Promise<void> {
    const giveUp = performance.now() + TARGET_WITHIN_MS;
    while (!this.#stopping.signal.aborted && performance.now() < giveUp) {
      const target = await this.#target(planned);
      if (target !== undefined)
        return planned.kind === 'kill' ? this.#kill(planned, target) : this.#freeze(planned, target);
      await this.#pause(TARGET_PAUSE_MS);
    }
  }

  /** One that stands still can be killed, but not be made to stand still again. */
  async #target({ role, kind, which }: PlannedFault): Promise<Target | undefined> {
    const { pids } = await this.#options.endpoints();
    const candidates = Object.entries(pids).flatMap(([name, pid]): Target[] => {
      const identity = identify(pid);
      if (!name.startsWith(PROCESS_OF[role]) || identity === undefined) return [];
      return kind === 'stop' && this.#stopped.has(pid) ? [] : [{ name, identity }];
    });
    return candidates[Math.floor(which * candidates.length)];
  }

  async #kill({ role }: PlannedFault, { name, identity: { pid } }: Target): Promise<void> {
    const workers = role === 'worker' ? workersBelow(pid, this.#options.marker) : [];
    const fault: Fault = { kind: 'kill', role, process: name, pid, at: Date.now() };
    if (!sendSignal(pid, 'SIGKILL')) return;
    if (role !== 'worker') return this.#options.onFault(fault);
    const { count, goneMs, left } = await untilGone(workers, ORPHANS_GONE_MS);
    this.#options.onFault({ ...fault, claudes: { count, goneMs } });
    const what = `processes of Claude ${ORPHANS_GONE_MS / 1_000} s after ${name} (${workers.join(', ')}) was killed`;
    if (left.length > 0) this.#options.onLeftover({ what, pids: left });
  }

  async #freeze({ role }: PlannedFault, { name, identity }: Target): Promise<void> {
    const { pid } = identity;
    const at = Date.now();
    if (!sendSignal(pid, 'SIGSTOP')) return;
    this.#stopped.add(pid);
    await this.#pause(this.#options.stopMs);
    this.#stopped.delete(pid);
    if (isAlive(identity)) sendSignal(pid, 'SIGCONT');
    this.#options.onFault({ kind: 'stop', role, process: name, pid, at, continuedAt: Date.now() });
  }

  async #pause(ms: number): Promise<void> {
    // An abort only ends the pause early.
    if (ms > 0) await sleep(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}
