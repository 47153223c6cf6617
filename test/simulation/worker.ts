import type { Logger } from 'pino';
import { HEADER } from '../../contracts/wire/names.js';
import type { Delivery } from '../../src/broker/consume.js';
import type { Broker } from '../../src/broker/connect.js';
import { refuseRun } from '../../workers/attempt/refuse.js';
import { runTask } from '../../workers/attempt/run-task.js';
import { Stopped } from '../../workers/attempt/stop.js';
import type { ClaudeRun } from '../../workers/claude/run.js';
import type { ClaudeEnding } from '../../workers/claude/ending.js';
import type { WorkerContext } from '../../workers/attempt/context.js';
import { recover } from '../../workers/journal/recover.js';
import { RunPoller } from '../../workers/queue/run-poller.js';
import { ExclusiveRun } from '../../workers/queue/exclusive-run.js';
import { Slots } from '../../workers/queue/slots.js';
import { simBroker } from './connection.js';
import { SimJournal } from './journal.js';
import { Link } from './link.js';
import { simClaude } from './claude.js';
import { SimProcess } from './process.js';
import { QUEUE } from './server.js';
import type { World } from './world.js';

const SLOTS = 2;
/** A delivery that took longer on its way counts its lease from too late. */
const LATE_MS = 20;

/** Small ways in which a worker could be wrong, put in at its ports; none in the real one. */
export interface WorkerFlaws {
  readonly broker?: (broker: Broker) => Broker;
  readonly delivery?: (delivery: Delivery) => Delivery;
  readonly ending?: (ending: ClaudeEnding) => ClaudeEnding;
  readonly leaseMs?: number;
  readonly writers?: number;
}

/** Journals of the workers of a host that died, for the next one. */
export type Host = { readonly name: string; readonly left: Set<SimJournal>; starts: number };

/** A worker of the real parts: lanes, attempts, lease, outbox, recovery; only Claude, the journal's file and the broker are not. */
export class SimWorker {
  readonly process: SimProcess;
  readonly link: Link;
  readonly #world: World;
  readonly #host: Host;
  readonly #lanes: RunPoller;
  readonly #context: WorkerContext;
  readonly #shutdown = new AbortController();
  /** Tasks of which it learned late. */
  readonly #late = new Set<string>();
  readonly #runs = new Map<string, number>();
  #stoodStillAt = -Infinity;
  #draining = false;

  constructor(world: World, host: Host, flaws: WorkerFlaws) {
    const { scheduler, server, record } = world;
    this.#world = world;
    this.#host = host;
    const id = `${host.name}.${++host.starts}`;
    this.process = new SimProcess(id, scheduler);
    this.link = new Link(this.process, server, scheduler, world.hiccups);
    const broker = (flaws.broker ?? same)(simBroker(this.link, server));
    const journal = new SimJournal(this.process, scheduler);
    host.left.add(journal);
    const log = world.log(id);
    const slots = new Slots(SLOTS);
    const parts: Partial<WorkerContext> = {
      broker,
      log,
      workerId: id,
      process: id,
      host: host.name,
      leaseMs: flaws.leaseMs ?? world.leaseMs,
      longestNakMs: world.longestNakMs,
      retentionMs: 7 * 86_400_000,
      model: 'none',
      executable: undefined,
      environment: { env: {}, secrets: [], credentials: [] },
      exclusiveRun: new ExclusiveRun(slots),
      random: () => scheduler.random(),
      runClaude: async (run: ClaudeRun) => (flaws.ending ?? same)(await this.#runClaude(run)),
      shutdown: this.#shutdown.signal,
    };
    const blobs = { needed: () => false };
    const folders = {
      slot: async () => ({ config: '', home: '', tmp: '' }),
    };
    const unlimited = {
      lend: () => () => undefined,
      shortages: { met: () => undefined, over: () => undefined },
      clear: async () => undefined,
      sessionFolder: async () => '',
      toolPolicy: { current: {} },
      mcpServers: { current: {} },
      onUsageLimit: () => undefined,
      limits: {},
      memory: {},
      worktrees: { note: () => undefined },
      workspaces: {
        none: world.workspace === undefined,
        find: async () => ({ kind: 'found', path: '' }),
        outermost: async (workspace: string) => workspace,
      },
      endingRuns: new Map(),
      writersIn: () => flaws.writers ?? 1,
    };
    this.#context = { ...parts, ...unlimited, blobs, folders, journal, keeper: {} } as unknown as WorkerContext;
    this.#lanes = new RunPoller({
      broker,
      queues: [QUEUE],
      slots,
      run: async (delivery, slot) => {
        const taken = (flaws.delivery ?? same)(delivery);
        const sentAt = server.sentAt.get(`${delivery.seq}.${delivery.count}`) ?? -Infinity;
        const taskId = delivery.header(HEADER.taskId);
        if (scheduler.now - sentAt > LATE_MS) this.#late.add(taskId);
        this.#runs.set(taskId, delivery.seq);
        record.say(() => `${id} has run #${delivery.seq}, delivery ${delivery.count}`);
        const end = await runTask(taken, slot, this.#context);
        record.say(() => `${id} is done with run #${delivery.seq}: ${end}`);
      },
      refuse: (delivery, ms) => refuseRun(delivery, this.#context, ms),
      log,
    });
  }

  get draining(): boolean {
    return this.#draining;
  }

  async start(): Promise<void> {
    const { broker, blobs, workerId, log, journal, leaseMs } = this.#context;
    for (const left of this.#host.left) {
      if ((left as unknown) === journal) continue;
      const signal = broker.clock.deadline(leaseMs);
      try {
        await recover(left, { broker, blobs, workerId, log, signal });
      } catch (error) {
        if (!signal.aborted) throw error;
      }
      this.#host.left.delete(left);
    }
    this.#lanes.start();
  }

  /** As at SIGTERM, twice: gives back what it runs. */
  async stop(): Promise<void> {
    this.#draining = true;
    await this.#lanes.stop();
    this.#shutdown.abort(new Stopped('shutdown'));
    await this.#lanes.idle();
    this.#world.record.say(() => `${this.process.name} has stopped`);
    this.process.kill();
  }

  standStill(ms: number): void {
    this.#stoodStillAt = this.#world.scheduler.now + ms;
    this.process.standStill(ms);
  }

  #runClaude(run: ClaudeRun): Promise<ClaudeEnding> {
    const { scheduler, server, record } = this.#world;
    const begunAt = scheduler.now;
    return simClaude(run, {
      scheduler,
      record,
      pace: this.#world.pace,
      process: this.process,
      taskOf: (prompt) => prompt,
      excused: (taskId) => () =>
        this.#late.has(taskId) ||
        server.hastened.has(this.#runs.get(taskId) ?? 0) ||
        this.#stoodStillAt > begunAt - this.#world.leaseMs,
      poisonous: (taskId) => this.#world.poison.has(taskId),
    });
  }
}

const same = <T>(value: T): T => value;

/** For a world's record: what KSI takes for a fault of its own. */
export const violatingLog = (say: (line: string) => void, violate: (what: string) => void): Logger => {
  const quiet = (facts: { err?: Error }, message: string): void => say(`${message} ${facts.err?.message ?? ''}`);
  const log = {
    child: () => log,
    debug: quiet,
    info: (facts: object | string, message = '') => say(typeof facts === 'string' ? facts : message),
    warn: quiet,
    error: (facts: { err?: Error }, message: string) => violate(`${message}: ${facts.err?.stack ?? ''}`),
  };
  return log as unknown as Logger;
};
