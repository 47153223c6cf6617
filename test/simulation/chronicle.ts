import { HEADER, STREAM } from '../../contracts/wire/names.js';
import type { StoredEvent } from '../../contracts/events/events.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import type { Scheduler } from './scheduler.js';
import type { SimMessage } from './stream.js';

export interface RecordedEvent {
  readonly seq: number;
  readonly at: number;
  readonly subject: string;
  readonly event: StoredEvent;
  readonly taskId: string;
}

/** A run of the simulated Claude. */
export interface ClaudeRunRecord {
  readonly taskId: string;
  readonly sessionId: string;
  readonly worker: string;
  readonly begunAt: number;
  /** How many messages it gave. */
  messages: number;
  /** When it was told to stop, or ended by itself. */
  over: number | undefined;
  /** Its worker stood still, or was told of the run late, so that it may have gone on for longer than its lease. */
  readonly excused: () => boolean;
  /** The time that it named for the next attempt. */
  resetsAt: number | undefined;
}

/** All that is known of a world's run, from outside: what was stored, what was told to clients, what Claude did. */
export class Chronicle {
  readonly events: RecordedEvent[] = [];
  /** Tasks in the order in which their first message was stored in KSI_COMMANDS. */
  readonly ordered: string[] = [];
  readonly dead: string[] = [];
  readonly posted = new Map<string, SpawnCommand>();
  /** The client was told that they are accepted. */
  readonly accepted = new Set<string>();
  readonly claude: ClaudeRunRecord[] = [];
  readonly violations: string[] = [];
  readonly counts: { [fault: string]: number } = {};
  readonly #trace: string[] | undefined;
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, traced: boolean) {
    this.#scheduler = scheduler;
    this.#trace = traced ? [] : undefined;
  }

  /** What happened, line by line, with short names in place of ids; empty unless asked for. */
  get trace(): readonly string[] {
    return this.#trace ?? [];
  }

  say(line: () => string): void {
    this.#trace?.push(`${(this.#scheduler.now / 1_000).toFixed(4).padStart(9)} ${this.#short(line())}`);
  }

  count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1;
  }

  violate(what: string): void {
    this.violations.push(this.#short(what));
    this.say(() => `VIOLATION ${what}`);
  }

  /** The run of Claude of the attempt that ran, or was the last to run, at a time. */
  runAt(taskId: string, at: number): ClaudeRunRecord | undefined {
    const start = this.events.findLast(
      (one) => one.taskId === taskId && one.at <= at && one.event.type === 'SPAWN_START',
    );
    const worker = (start?.event.data as { worker_id?: string } | undefined)?.worker_id;
    return this.claude.findLast((run) => run.taskId === taskId && run.worker === worker && run.begunAt <= at);
  }

  stored(stream: string, message: SimMessage): void {
    const { seq, subject, header, at } = message;
    const taskId = header.get(HEADER.taskId);
    if (stream === STREAM.commands && !this.ordered.includes(taskId)) this.ordered.push(taskId);
    if (stream === STREAM.dead) this.dead.push(taskId);
    if (stream === STREAM.events) {
      const event = JSON.parse(new TextDecoder().decode(message.data)) as StoredEvent;
      const [, , , ofTask = ''] = subject.split('.');
      this.events.push({ seq, at, subject, event, taskId: ofTask });
      this.say(() => `stored #${seq} ${event.type} ${detailOf(event)}`);
    } else this.say(() => `stored ${stream} #${seq} ${subject} ${taskId}`);
  }

  #short(line: string): string {
    let short = line;
    let number = 0;
    for (const [taskId, { session_id: sessionId }] of this.posted) {
      short = short.replaceAll(taskId, `T${++number}`);
      short = short.replaceAll(sessionId, `S-${sessionId.slice(-2)}`);
    }
    return short;
  }
}

function detailOf({ data }: StoredEvent): string {
  const { task_id, attempt, n, worker_id, reason, retry_at, error, given_up } = data as { [field: string]: unknown };
  const code = (error as { code?: string } | undefined)?.code;
  const facts = { attempt, n, worker_id, reason, retry_at, code, given_up };
  const details = Object.entries(facts).filter(([, value]) => value !== undefined);
  return [String(task_id), ...details.map(([name, value]) => `${name}=${String(value)}`)].join(' ');
}
