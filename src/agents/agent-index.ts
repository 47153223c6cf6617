import type { Agent } from '../../contracts/agents/agents.js';

/** Indexes agents by owner and by subscription, so that no lookup scans all agents. */
export class AgentIndex {
  /** Sorted; undefined: stale. */
  #ids: string[] | undefined = [];
  readonly #all = new Set<string>();
  readonly #byOwner = new Map<string, Set<string>>();
  /** By `<owner> <type>`. */
  readonly #subscribers = new Map<string, Set<string>>();

  change(before: Agent | undefined, now: Agent | undefined): void {
    if (before !== undefined) this.#remove(before, now === undefined);
    if (now !== undefined) this.#add(now);
  }

  /** The sorted ids after `after`. */
  *after(after: string | undefined): Generator<string> {
    const ids = (this.#ids ??= [...this.#all].toSorted());
    for (let at = after === undefined ? 0 : firstAfter(ids, after); at < ids.length; at++) {
      const id = ids[at];
      if (id !== undefined) yield id;
    }
  }

  of(owner: string): string[] {
    return [...(this.#byOwner.get(owner) ?? [])].toSorted();
  }

  count(owner: string): number {
    return this.#byOwner.get(owner)?.size ?? 0;
  }

  subscribers(owner: string, type: string): string[] {
    return [...(this.#subscribers.get(`${owner} ${type}`) ?? [])].toSorted();
  }

  #add({ agent_id: id, owner, subscriptions }: Agent): void {
    if (!this.#all.has(id)) this.#ids = undefined;
    this.#all.add(id);
    addTo(this.#byOwner, owner, id);
    for (const type of subscriptions) addTo(this.#subscribers, `${owner} ${type}`, id);
  }

  #remove({ agent_id: id, owner, subscriptions }: Agent, deleted: boolean): void {
    if (deleted) {
      this.#ids = undefined;
      this.#all.delete(id);
    }
    removeFrom(this.#byOwner, owner, id);
    for (const type of subscriptions) removeFrom(this.#subscribers, `${owner} ${type}`, id);
  }
}

function addTo(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set.add(id));
}

function removeFrom(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  set?.delete(id);
  if (set?.size === 0) sets.delete(key);
}

/** The index of the first of the sorted `ids` that is greater than `id`. */
function firstAfter(ids: readonly string[], id: string): number {
  let [from, to] = [0, ids.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((ids[middle] ?? '') <= id) from = middle + 1;
    else to = middle;
  }
  return from;
}
