import { join } from 'node:path';
import { parseText } from '../../json.js';
import { bytesOf } from '../migration/json-file.js';
import { InOrder } from './in-order.js';
import { replaceFile } from './replace.js';
import type { WorkDir } from './work-dir.js';

/** The agents connected to this bridge, by their ids in the old protocol, so that a bridge that starts after a crash can end their subscriptions. */
export class ConnectionJournal {
  readonly #file: string;
  readonly #order = new InOrder();
  #agents: Set<string> | undefined;

  constructor(dir: WorkDir) {
    this.#file = join(dir.own, 'connections.json');
  }

  /** The agents that the last bridge left. A damaged file counts as empty. */
  left(): Promise<string[]> {
    return this.#order.do(async () => [...(await this.#known())]);
  }

  add(agent: string): Promise<void> {
    return this.#change((agents) => !agents.has(agent) && agents.add(agent));
  }

  remove(agent: string): Promise<void> {
    return this.#change((agents) => agents.delete(agent));
  }

  /** @param change returns a value that is not false if it changed the set */
  #change(change: (agents: Set<string>) => unknown): Promise<void> {
    return this.#order.do(async () => {
      const agents = await this.#known();
      if (change(agents) !== false) await replaceFile(this.#file, JSON.stringify([...agents]));
    });
  }

  async #known(): Promise<Set<string>> {
    if (this.#agents === undefined) {
      const ids = parseText((await bytesOf(this.#file))?.toString('utf8') ?? '');
      this.#agents = new Set(Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : []);
    }
    return this.#agents;
  }
}
