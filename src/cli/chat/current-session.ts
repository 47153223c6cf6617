import type { Task } from '../../../contracts/tasks/task.js';
import type { Session } from '../../../contracts/sessions/sessions.js';
import type { KsiClient } from '../../client/client.js';
import { KsiError } from '../../client/errors.js';
import { describeCost, describeLast, describeSession } from './session-lines.js';

/** The first output of a chat. */
interface Greeting {
  readonly lines: readonly string[];
  /** An open task of the session. */
  readonly open?: Task;
}

/** The current session of a chat. */
export class CurrentSession {
  readonly #client: KsiClient;
  /** A UUID or name. Undefined: a new session starts with the next prompt. */
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
    return open === undefined
      ? { lines }
      : { lines: [...lines, `Claude is still working on: ${open.prompt_preview}`], open };
  }

  /** Switches to a session. @param id undefined: a new one. @returns a message for the user. @throws {KsiError} @throws {KsiUnreachableError} */
  async go(id: string | undefined): Promise<string> {
    if (id === undefined) {
      this.id = undefined;
      return 'A new session starts with your next prompt.';
    }
    const known = await this.#find(id);
    this.id = id;
    return known === undefined
      ? `Session ${id} does not exist yet. It starts with your next prompt.`
      : `Switched to ${describeSession(known)}.`;
  }

  async describe(): Promise<string> {
    const known = await this.#known();
    return known === undefined
      ? `${this.id ?? 'A new session'}: it starts with your next prompt.`
      : `${describeSession(known)}\nContinue it elsewhere: ksi chat --session ${known.session_name ?? known.session_id}`;
  }

  async cost(): Promise<string> {
    const known = await this.#known();
    return known === undefined ? 'No usage yet.' : describeCost(known);
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

const HELP = '/help lists the commands.';

async function unlessUnknown<T>(get: () => Promise<T>): Promise<T | undefined> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof KsiError && error.status === 404) return undefined;
    throw error;
  }
}
