import type { Logger } from 'pino';
import { FORMAT_VERSION, STREAM } from '../../contracts/wire/names.js';
import type { Policy } from '../../contracts/tasks/policy.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { seededRandom } from '../fixtures/random.js';
import { SimApi, type ApiFlaws } from './api.js';
import { checkAll, checkRuns } from './checks.js';
import { plague } from './faults.js';
import { EPOCH, type SimProcess } from './process.js';
import { Moments } from './moments.js';
import { Chronicle } from './chronicle.js';
import { Scheduler } from './scheduler.js';
import { SimServer } from './server.js';
import { SimWorker, violatingLog, type Host, type WorkerFlaws } from './worker.js';

export interface Flaws {
  readonly worker?: WorkerFlaws;
  readonly api?: ApiFlaws;
}

export interface WorldOptions {
  readonly seed: number;
  readonly traced?: boolean;
  readonly flaws?: Flaws;
}

export interface Ran {
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  /** Faults by kind, and tasks, attempts, events. */
  readonly counts: { readonly [what: string]: number };
}

/** Then nothing is disturbed any more, and all must come to its end. */
const DISTURBED_MS = 60_000;
/** Until then. Waits for a named time, and lost attempts one after another, take minutes. */
const LIMIT_MS = 1_800_000;
/** After the last message is off the queue, for what might still come. */
const AFTERWARDS_MS = 20_000;
/** Most worlds are so much quicker than real life: there things meet that else are far apart. */
const PACES = [1, 0.02, 0.001];
const BURST_MS = 400;

/** A small KSI with everything that may go wrong, decided by a seed. */
export class World {
  readonly leaseMs = 15_000;
  /** Short, so that runs are parked in the time that a world has. */
  readonly longestNakMs = 10_000;
  readonly scheduler: Scheduler;
  readonly record: Chronicle;
  readonly server: SimServer;
  /** When so many messages are stored, by the process that stored the last. */
  readonly whenStored: Moments;
  /** When the broker was asked for something so many times. */
  readonly whenAsked: Moments;
  readonly poison = new Set<string>();
  /** What Claude's times are multiplied by. */
  readonly pace: number;
  /** How likely it is that a message, or a step of a process, takes some time. */
  readonly hiccups: number;
  /** All tasks write in one workspace; without, in folders of their sessions' own. */
  readonly workspace: string | undefined;
  readonly #flaws: Flaws;
  readonly #hosts: Host[];
  readonly #workers: SimWorker[] = [];
  readonly #apis: SimApi[] = [];
  /** Of which a client waits for the answer. */
  readonly #asked = new Set<object>();

  constructor({ seed, traced = false, flaws = {} }: WorldOptions) {
    this.#flaws = flaws;
    // Not drawn: a seed from before stays the world that it was.
    this.workspace = seed % 4 === 0 ? 'site' : undefined;
    this.scheduler = new Scheduler(seededRandom(seed));
    this.record = new Chronicle(this.scheduler, traced);
    this.server = new SimServer(this.scheduler, this.leaseMs, {
      stored: (stream, message, by) => {
        this.record.stored(stream, message);
        if (stream === STREAM.commands) checkRuns(this.record, this.server.streams.commands, message);
        this.whenStored.happened(by);
      },
      onRequest: (by) => this.whenAsked.happened(by),
    });
    this.whenStored = new Moments(this.scheduler);
    this.whenAsked = new Moments(this.scheduler);
    const { random } = this.scheduler;
    this.pace = PACES[this.#upTo(PACES.length)] ?? 1;
    this.hiccups = random() < 0.5 ? 0.003 : 0.05 * random();
    const hosts = 2 + this.#upTo(2);
    this.#hosts = Array.from({ length: hosts }, (_, index) => ({ name: `w${index + 1}`, left: new Set(), starts: 0 }));
  }

  /** Those that live, or are to be ended. */
  get workers(): readonly SimWorker[] {
    return this.#workers;
  }

  get apis(): readonly SimApi[] {
    return this.#apis;
  }

  async run(): Promise<Ran> {
    for (let index = 0; index < this.#hosts.length; index++) this.startWorker(index);
    for (const index of [0, 1]) this.startApi(index);
    this.#plan();
    plague(this, DISTURBED_MS);
    let quietAt: number | undefined;
    const { commands, schedules } = this.server.streams;
    const quiet = (): boolean => {
      const { now } = this.scheduler;
      const empty =
        now > DISTURBED_MS && this.#asked.size === 0 && commands.messages.length + schedules.messages.length === 0;
      quietAt = empty ? (quietAt ?? now) : undefined;
      return quietAt !== undefined && now - quietAt > AFTERWARDS_MS;
    };
    if (!(await this.scheduler.run(quiet, LIMIT_MS)))
      this.record.violate(
        `not at rest: ${[...commands.messages, ...schedules.messages].map(({ subject }) => subject).join(', ')}`,
      );
    checkAll(this.record);
    const { violations, trace, counts } = this.record;
    return { violations, trace, counts };
  }

  startWorker(index: number): void {
    const host = this.#hosts[index];
    if (host === undefined) return;
    const worker = new SimWorker(this, host, this.#flaws.worker ?? {});
    this.#workers[index] = worker;
    worker.process.onDeath(() => this.#again(worker.process, () => this.startWorker(index)));
    this.record.say(() => `${worker.process.name} starts`);
    worker.start().catch((error: unknown) => this.record.violate(`a worker's start: ${String(error)}`));
  }

  startApi(index: number): void {
    const starts = Number(this.#apis[index]?.process.name.split('.')[1] ?? 0) + 1;
    const api = new SimApi(this, `api${index + 1}.${starts}`, this.#flaws.api ?? {});
    api.process.onDeath(() => this.#again(api.process, () => this.startApi(index)));
    this.#apis[index] = api;
  }

  log(name: string): Logger {
    const { record } = this;
    return violatingLog(
      (line) => record.say(() => `${name}: ${line}`),
      (what) => record.violate(`${name}: ${what}`),
    );
  }

  /** What keeps processes running starts another one: soon, or late. */
  #again({ name }: SimProcess, start: () => void): void {
    this.record.count(name.startsWith('w') ? 'worker_ended' : 'api_ended');
    this.record.say(() => `${name} is gone`);
    this.scheduler.after(200 + 20_000 * this.scheduler.random() ** 3, start);
  }

  #plan(): void {
    const tasks = 2 + this.#upTo(7);
    const sessions = this.scheduler.random() < 0.4 ? 1 : 1 + this.#upTo(3);
    // Some come together, as their sessions are to be fought for.
    const bursts = Array.from({ length: 1 + this.#upTo(4) }, () => DISTURBED_MS * 0.8 * this.scheduler.random());
    for (let task = 1; task <= tasks; task++) {
      const at = (bursts[this.#upTo(bursts.length)] ?? 0) + BURST_MS * this.scheduler.random();
      const post = (): void => this.#post(task, this.#upTo(sessions));
      // Or right when something happens: another one ends, say.
      if (task > 1 && this.scheduler.random() < 0.4) this.whenStored.at(2 + this.#upTo(40), post);
      else this.scheduler.after(at, post);
    }
  }

  #post(number: number, session: number): void {
    const api = this.#apis[this.#upTo(this.#apis.length)];
    const command: SpawnCommand = {
      v: FORMAT_VERSION,
      task_id: idOf(1, number),
      session_id: idOf(2, session + 1),
      owner: 'local',
      queue: 'default',
      priority: 'normal',
      accepted_at: new Date(EPOCH + this.scheduler.now).toISOString(),
      prompt: idOf(1, number),
      policy: this.#policy(),
      ...(this.workspace === undefined ? {} : { workspace: this.workspace }),
    };
    const { task_id: taskId } = command;
    this.record.posted.set(taskId, command);
    if (this.scheduler.random() < 0.02) this.poison.add(taskId);
    if (api === undefined || api.process.dead) return;
    const asked = { taskId };
    this.#asked.add(asked);
    api.process.onDeath(() => this.#asked.delete(asked));
    api.process.run(() => {
      void this.#ask(api, command).finally(() => this.#asked.delete(asked));
    });
    if (this.scheduler.random() < 0.15) this.#later(40_000 * this.pace, () => this.#cancel(taskId));
  }

  async #ask(api: SimApi, command: SpawnCommand): Promise<void> {
    const { task_id: taskId } = command;
    this.record.say(() => `${api.process.name} is asked for ${taskId}`);
    try {
      const accepted = await api.accept(command);
      this.record.say(() => `${api.process.name} ${accepted ? 'accepted' : 'did not accept'} ${taskId}`);
      if (accepted) this.record.accepted.add(taskId);
    } catch (error) {
      this.record.violate(`accepting ${taskId}: ${String(error)}`);
    }
  }

  #cancel(taskId: string): void {
    const api = this.#apis[this.#upTo(this.#apis.length)];
    api?.process.run(() => {
      this.record.say(() => `${api.process.name} is asked to cancel ${taskId}`);
      // Refused, or the broker is away: the task goes on.
      api
        .cancel(taskId)
        .catch((error: unknown) => this.record.say(() => `${taskId} is not cancelled: ${String(error)}`));
    });
  }

  #policy(): Policy {
    return {
      max_attempts: 1 + this.#upTo(4),
      timeout_s: 20 + this.#upTo(40),
      backoff: { base_s: (0.5 + this.#upTo(8)) * Math.sqrt(this.pace), factor: 2, max_s: 30 },
    };
  }

  #later(within: number, call: () => void): void {
    this.scheduler.after(within * this.scheduler.random(), call);
  }

  #upTo(count: number): number {
    return Math.floor(this.scheduler.random() * count);
  }
}

const idOf = (kind: number, number: number): string =>
  `00000000-0000-7000-800${kind}-${String(number).padStart(12, '0')}`;

export const runWorld = (options: WorldOptions): Promise<Ran> => new World(options).run();
