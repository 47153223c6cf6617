import type { Logger } from 'pino';
import type { Approval } from '../../../contracts/tasks/approvals.js';
import { SUBJECT } from '../../../contracts/wire/names.js';
import { statusOfEvent } from '../../../contracts/tasks/states.js';
import type { HubEvent } from '../../events/hub-event.js';
import type { EventHub } from '../../events/hub.js';
import { RETRY_MS } from '../../retry.js';
import type { ReadModel } from '../../store/read-model.js';

type Event = Pick<HubEvent, 'type' | 'timestamp' | 'data'>;

/**
 * Pure: the open approvals of a task after an event. Idempotent per event. The end of an attempt closes its approvals.
 */
export function foldApprovals(open: readonly Approval[], { type, timestamp, data }: Event): readonly Approval[] {
  const others = open.filter(({ approval_id: id }) => id !== data['approval_id']);
  if (type === 'APPROVAL_REQUESTED') return [...others, { ...data, requested_at: timestamp } as unknown as Approval];
  if (type === 'APPROVAL_RESOLVED') return others;
  return statusOfEvent(type) === undefined ? open : [];
}

const PAGE = 500;

/**
 * All open approvals of the cluster, in memory. At the start, and when the event stream is re-created, they are rebuilt from the events of
 * the running tasks.
 */
export class PendingApprovals {
  readonly #hub: EventHub;
  readonly #model: Pick<ReadModel, 'list'>;
  readonly #log: Logger;
  readonly #open = new Map<string, readonly Approval[]>();
  /** Events that arrived during a rebuild. */
  #meanwhile: Event[] | undefined;
  #stops: (() => void)[] = [];
  #rebuilding: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(hub: EventHub, model: Pick<ReadModel, 'list'>, log: Logger) {
    this.#hub = hub;
    this.#model = model;
    this.#log = log;
  }

  /** Call it when the read model has caught up. Resolves once all open approvals are known. */
  start(): Promise<void> {
    this.#stops = [this.#hub.subscribe((event) => this.#apply(event)), this.#hub.onReset(() => this.#rebuild())];
    this.#rebuild();
    return this.#rebuilding;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    for (const stop of this.#stops) stop();
    await this.#rebuilding;
  }

  /** Oldest first. */
  list(): Approval[] {
    return [...this.#open.values()].flat().toSorted((a, b) => (a.requested_at < b.requested_at ? -1 : 1));
  }

  /** The open approval with this id. Its client may have seen it through an API that is ahead of this one. */
  async find(id: string): Promise<Approval | undefined> {
    const known = (): Approval | undefined => this.list().find((each) => each.approval_id === id);
    const found = known();
    if (found !== undefined) return found;
    await this.#hub.catchUp();
    return known();
  }

  #apply(event: Event): void {
    const { task_id: taskId } = event.data;
    if (typeof taskId !== 'string') return;
    this.#meanwhile?.push(event);
    const before = this.#open.get(taskId);
    if (before === undefined && event.type !== 'APPROVAL_REQUESTED') return;
    const after = foldApprovals(before ?? [], event);
    if (after.length === 0) this.#open.delete(taskId);
    else this.#open.set(taskId, after);
  }

  #rebuild(): void {
    this.#rebuilding = this.#rebuilding.then(() => this.#readPast());
  }

  /** Never rejects. */
  async #readPast(): Promise<void> {
    this.#meanwhile = [];
    try {
      const past = new Map<string, readonly Approval[]>();
      let before: string | undefined;
      do {
        const page = await this.#model.list({ owner: undefined, status: ['running'] }, PAGE, before);
        for (const { task_id: id, attempt } of page.rows) {
          let open: readonly Approval[] = [];
          for await (const event of this.#hub.read(SUBJECT.taskApproval(id), 0, Number.MAX_SAFE_INTEGER))
            open = foldApprovals(open, event);
          past.set(
            id,
            open.filter((each) => each.attempt >= attempt),
          );
        }
        before = page.next;
      } while (before !== undefined && !this.#stopped);
      const since = this.#meanwhile;
      this.#meanwhile = undefined;
      this.#open.clear();
      for (const [id, open] of past) if (open.length > 0) this.#open.set(id, open);
      // Events may overlap with those that were read. Applying one twice does no harm.
      for (const event of since) this.#apply(event);
    } catch (error) {
      this.#meanwhile = undefined;
      if (this.#stopped) return;
      this.#log.warn({ err: error }, 'could not read the open approvals; retrying');
      this.#retry = setTimeout(() => this.#rebuild(), RETRY_MS.background);
    }
  }
}
