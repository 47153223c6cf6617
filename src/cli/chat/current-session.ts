import type { Task } from '../../../contracts/tasks/task.js';
import type { Session } from '../../../contracts/sessions/sessions.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError } from '../../client/errors.js';
import { describeCost, describeLast, describeSession } from './session-lines.js';

/** What a chat begins with. */
interface Greeting {
  readonly lines: readonly string[];
  /** A task of the session that has not ended. */
  readonly open?: Task;
}

/** The session that a chat is in, and what can be told of it. */
export class CurrentSession {
  readonly #client: KsiClient;
  /** A UUID or a name; undefined: one that is yet to be begun. */
  id: string | undefined;

  constructor(client: KsiClient, id: string | undefined) {
    this.#client = client;
    this.id = id;
  }

  /** @throws {KsiError} @throws {KsiUnreachableError} */
  async greet(): Promise<Greeting> {
    const known = await this.#known();
    if (known === undefined) {
      const which = this.id === undefined ? 'a new session' : `the new session ${this.id}`;
      return { lines: [`ksi chat: ${which}`, HELP] };
    }
    const lines = [`ksi chat: ${describeSession(known)}`, HELP];
    if (known.open === 0) return { lines: [...lines, ...(await this.#last(known))] };
    const { items } = await this.#client.tasks.list({ session_id: known.session_id, limit: 20 });
    const open = items.filter(({ ended_at: ended }) => ended === undefined).at(-1);
    return open === undefined ? { lines } : { lines: [...lines, `Claude is still at: ${open.prompt_preview}`], open };
  }

  /** Goes to another; undefined: a new one. @returns what is told of that. @throws {KsiError} @throws {KsiUnreachableError} */
  async go(id: string | undefined): Promise<string> {
    if (id === undefined) {
      this.id = undefined;
      return 'A new session begins with what you say next.';
    }
    const known = await this.#find(id);
    this.id = id;
    return known === undefined
      ? `There is no session ${id} yet: it begins with what you say next.`
      : `This is ${describeSession(known)}.`;
  }

  async describe(): Promise<string> {
    const known = await this.#known();
    return known === undefined
      ? `${this.id ?? 'A new session'}: it begins with what you say next.`
      : `${describeSession(known)}\nElsewhere: ksi chat --session ${known.session_name ?? known.session_id}`;
  }

  async cost(): Promise<string> {
    const known = await this.#known();
    return known === undefined ? 'Nothing yet.' : describeCost(known);
  }

  async #known(): Promise<Session | undefined> {
    return this.id === undefined ? undefined : this.#find(this.id);
  }

  async #find(id: string): Promise<Session | undefined> {
    return unlessUnknown(() => this.#client.sessions.get(id));
  }

  async #last({ last_task_id: id }: Session): Promise<string[]> {
    const task = await unlessUnknown(() => this.#client.tasks.get(id));
    return task === undefined ? [] : [describeLast(task)];
  }
}

const HELP = '/help says what else there is.';

async function unlessUnknown<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof KsiError && error.status === 404) return undefined;
    throw error;
  }
}
