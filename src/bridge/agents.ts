import type { Logger } from 'pino';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { KsiClientOptions } from '../client/http.js';
import { ksiAgentId } from './agent-ids.js';
import type { ClientLink } from './client-link.js';
import { readInbox } from './inbox.js';
import { pushed } from './messages.js';
import type { Roster } from './roster.js';

/** An agent that is connected here: its client's connection is its inbox. */
interface Connected {
  /** KSI's. */
  readonly id: string;
  /** The client's. */
  readonly legacyId: string;
  readonly link: ClientLink;
  readonly attached: AbortController;
  /** Ends when its inbox is read no more. */
  pumping: Promise<void>;
}

interface Options {
  readonly connection: KsiClientOptions;
  readonly roster: Roster;
  readonly log: Logger;
}

/** Why an inbox is read no more: another connection of the agent has taken it. */
const REPLACED = new Error('a newer connection of the agent has taken its inbox');

/** The agents that are connected to this bridge. */
export class BridgeAgents {
  readonly #options: Options;
  readonly #connected = new Map<string, Connected>();
  readonly #departures = new Set<Promise<void>>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Their ids as their clients write them. */
  connected(): string[] {
    return [...this.#connected.keys()];
  }

  /**
   * Resolves when KSI shows no agent as connected whose client left this bridge before the call. A command that reads or changes connections
   * waits for this, or it would see agents that have gone, and a new connection could lose its subscriptions to the end of the previous one.
   */
  async departed(): Promise<void> {
    await Promise.all(this.#departures);
  }

  /** Whether an agent is connected over it. */
  owns(link: ClientLink): boolean {
    return [...this.#connected.values()].some((agent) => agent.link === link);
  }

  /**
   * Makes a client's connection its agent's inbox; one of the same agent here ends. An agent that is not known is registered. It
   * begins, as in the old daemon, with no subscriptions.
   * @returns what begins to push messages: to be called once the client has its answer.
   */
  async connect(legacyId: string, link: ClientLink): Promise<() => void> {
    const { roster } = this.#options;
    const id = ksiAgentId(legacyId, 'parameters.agent_id');
    await roster.ensure(legacyId);
    await roster.unsubscribe(legacyId);
    const before = this.#connected.get(legacyId);
    const agent: Connected = { id, legacyId, link, attached: new AbortController(), pumping: Promise.resolve() };
    this.#connected.set(legacyId, agent);
    if (before !== undefined) this.#end(before, REPLACED);
    if (before !== undefined && before.link !== link) before.link.close();
    let answered: () => void = () => undefined;
    const whenAnswered = new Promise<void>((resolve) => (answered = resolve));
    await this.#attach(agent, whenAnswered);
    link.onGone(() => void this.#leave(agent));
    return answered;
  }

  /** Ends an agent's inbox. Its client's connection here stays as it is; one at another bridge is ended. */
  async disconnect(legacyId: string): Promise<void> {
    const { connection, roster } = this.#options;
    const here = this.#connected.get(legacyId);
    if (here !== undefined) return this.#leave(here);
    const agent = await roster.find(legacyId);
    if (agent?.connected !== true) return;
    // Whoever takes the inbox over ends the other's; and then it is nobody's.
    const taken = new AbortController();
    await readInbox({
      connection,
      agentId: agent.agent_id,
      attached: () => taken.abort(new Error('it was only to be taken over')),
      take: () => Promise.resolve(false),
      signal: taken.signal,
      onRetry: () => undefined,
    });
    await roster.unsubscribe(legacyId);
    await roster.untilAway(legacyId);
  }

  /** Gives a line to those of these agents that are connected here; for what is no message of KSI's. */
  push(agents: readonly string[], line: string): void {
    for (const legacyId of agents) void this.#connected.get(legacyId)?.link.send(line);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#connected.values()].map((agent) => this.#leave(agent)));
  }

  async #leave(agent: Connected): Promise<void> {
    if (this.#connected.get(agent.legacyId) !== agent) return;
    this.#connected.delete(agent.legacyId);
    const departure = this.#depart(agent).finally(() => this.#departures.delete(departure));
    this.#departures.add(departure);
    await departure;
  }

  async #depart(agent: Connected): Promise<void> {
    this.#end(agent, new Error('the agent has left'));
    await agent.pumping;
    try {
      await this.#options.roster.unsubscribe(agent.legacyId);
      await this.#options.roster.untilAway(agent.legacyId);
    } catch (error) {
      // KSI may be away. Its next connection begins with none.
      this.#options.log.warn({ err: error, agent_id: agent.legacyId }, 'an agent that left is subscribed still');
    }
  }

  /** Resolves when others see it as connected. @throws {KsiError | KsiUnreachableError} its inbox is not to be had. */
  #attach(agent: Connected, answered: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      let attached = false;
      const onAttached = (): void => {
        attached = true;
        resolve();
      };
      const onFailure = (error: unknown): void => {
        const current = this.#connected.get(agent.legacyId) === agent;
        if (current) this.#connected.delete(agent.legacyId);
        if (!attached) return reject(error);
        this.#options.log.error({ err: error, agent_id: agent.legacyId }, 'its inbox can not be read any more');
        // Its client connects again, and gets what it has not got.
        if (current) agent.link.close();
      };
      agent.pumping = this.#pump(agent, onAttached, answered).then(resolve, onFailure);
    });
  }

  #end(agent: Connected, why: Error): void {
    agent.attached.abort(why);
  }

  /** Pushes its messages, each once, and takes those from its inbox that its client was sent. @throws {KsiError} it was refused. */
  async #pump(agent: Connected, attached: () => void, answered: Promise<void>): Promise<void> {
    const { connection, log } = this.#options;
    const ids = { agent_id: agent.legacyId };
    const end = await readInbox({
      connection,
      agentId: agent.id,
      attached,
      // Its client reads the answer to its command first.
      take: (message) => answered.then(() => agent.link.send(lineOf(message))),
      signal: agent.attached.signal,
      onRetry: (error) => log.warn({ err: error, ...ids }, 'its inbox is not to be read at the moment; trying again'),
    });
    if (end === 'left') return;
    log.info({ ...ids, end }, 'its inbox is read no more');
    // A newer connection here has taken its place, and has seen to this one.
    if (this.#connected.get(agent.legacyId) !== agent) return;
    this.#connected.delete(agent.legacyId);
    agent.link.close();
  }
}

const lineOf = (message: InboxMessage): string => `${JSON.stringify(pushed(message))}\n`;
