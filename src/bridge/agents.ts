import type { Logger } from 'pino';
import type { InboxMessage } from '../../contracts/agents/messages.js';
import type { KsiClientOptions } from '../client/http.js';
import { ksiAgentId } from './agent-ids.js';
import type { ClientLink } from './client-link.js';
import type { ConnectionJournal } from './files/connection-journal.js';
import { readInbox } from './inbox.js';
import { pushed } from './messages.js';
import type { AgentDirectory } from './agent-directory.js';

/** An agent that is connected to this bridge. Its messages go to `link`. */
interface Connected {
  /** In KSI. */
  readonly id: string;
  /** In the old protocol. */
  readonly legacyId: string;
  readonly link: ClientLink;
  readonly attached: AbortController;
  /** Resolves when the bridge has stopped reading the inbox. */
  pumping: Promise<void>;
}

interface Options {
  readonly connection: KsiClientOptions;
  readonly directory: AgentDirectory;
  readonly journal: ConnectionJournal;
  readonly log: Logger;
}

const REPLACED = new Error('a newer connection of the agent has taken over its inbox');

/** The agents that are connected to this bridge. */
export class BridgeAgents {
  readonly #options: Options;
  readonly #connected = new Map<string, Connected>();
  readonly #departures = new Set<Promise<void>>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Ends the subscriptions of agents whose bridge was killed. `departed` waits for it. */
  recover(): void {
    const { journal, log } = this.#options;
    const recovered = journal.left().then((agents) => Promise.all(agents.map((agent) => this.#forget(agent))));
    const onFailure = (error: unknown): void => log.error({ err: error }, 'could not read which agents were connected');
    void this.#departs(recovered.then(() => undefined, onFailure));
  }

  /** Their ids in the old protocol. */
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

  /** Whether an agent is connected over `link`. */
  owns(link: ClientLink): boolean {
    return [...this.#connected.values()].some((agent) => agent.link === link);
  }

  /**
   * Sends the agent's messages to `link`, and closes the agent's previous connection here. Registers an unknown agent. Like in the old daemon,
   * the agent starts without subscriptions.
   * @returns a function that starts to push messages. Call it after the client has its answer
   */
  async connect(legacyId: string, link: ClientLink): Promise<() => void> {
    const { directory } = this.#options;
    const id = ksiAgentId(legacyId, 'parameters.agent_id');
    await directory.ensure(legacyId);
    await directory.unsubscribe(legacyId);
    await this.#options.journal.add(legacyId);
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

  /** Disconnects an agent. Its connection to this bridge stays open; a connection to another bridge is closed. */
  async disconnect(legacyId: string): Promise<void> {
    const { connection, directory } = this.#options;
    const here = this.#connected.get(legacyId);
    if (here !== undefined) return this.#leave(here);
    const agent = await directory.find(legacyId);
    if (agent?.connected !== true) return;
    // Taking over the inbox ends the other bridge's connection. Then release the inbox.
    const takenOver = new AbortController();
    await readInbox({
      connection,
      agentId: agent.agent_id,
      attached: () => takenOver.abort(new Error('the inbox was taken over only to release it')),
      take: () => Promise.resolve(false),
      signal: takenOver.signal,
      onRetry: () => undefined,
    });
    await directory.unsubscribe(legacyId);
    await directory.untilAway(legacyId);
  }

  /** Sends a line to those of the agents that are connected to this bridge. For notifications that are not messages in KSI. */
  push(agents: readonly string[], line: string): void {
    for (const legacyId of agents) void this.#connected.get(legacyId)?.link.send(line);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#connected.values()].map((agent) => this.#leave(agent)));
  }

  async #leave(agent: Connected): Promise<void> {
    if (this.#connected.get(agent.legacyId) !== agent) return;
    this.#connected.delete(agent.legacyId);
    await this.#departs(this.#depart(agent));
  }

  #departs(leaving: Promise<void>): Promise<void> {
    const departure = leaving.finally(() => this.#departures.delete(departure));
    this.#departures.add(departure);
    return departure;
  }

  async #depart(agent: Connected): Promise<void> {
    this.#end(agent, new Error('the agent has left'));
    await agent.pumping;
    await this.#forget(agent.legacyId);
  }

  /** Ends the subscriptions of an agent that left, unless it is connected elsewhere. Never rejects. */
  async #forget(legacyId: string): Promise<void> {
    const { directory, journal, log } = this.#options;
    try {
      await directory.untilAway(legacyId);
      await directory.unsubscribe(legacyId, 'if-away');
      if (!this.#connected.has(legacyId)) await journal.remove(legacyId);
    } catch (error) {
      // KSI may be unavailable. The agent's next connection, or the next bridge, removes the subscriptions.
      log.warn({ err: error, agent_id: legacyId }, 'could not unsubscribe an agent that left');
    }
  }

  /** Resolves when KSI shows the agent as connected. @throws {KsiError | KsiUnreachableError} if its inbox cannot be read */
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
        this.#options.log.error(
          { err: error, agent_id: agent.legacyId },
          "could not read the agent's inbox; closing its connection",
        );
        // The client connects again and then receives the remaining messages.
        if (current) agent.link.close();
      };
      agent.pumping = this.#pump(agent, onAttached, answered).then(resolve, onFailure);
    });
  }

  #end(agent: Connected, why: Error): void {
    agent.attached.abort(why);
  }

  /** Pushes each message once, and acknowledges it when the client was sent it. @throws {KsiError} if KSI refuses */
  async #pump(agent: Connected, attached: () => void, answered: Promise<void>): Promise<void> {
    const { connection, log } = this.#options;
    const ids = { agent_id: agent.legacyId };
    const end = await readInbox({
      connection,
      agentId: agent.id,
      attached,
      // The answer to AGENT_CONNECTION goes out first.
      take: (message) => answered.then(() => agent.link.send(lineOf(message))),
      signal: agent.attached.signal,
      onRetry: (error) => log.warn({ err: error, ...ids }, "could not read the agent's inbox; retrying"),
    });
    if (end === 'left') return;
    log.info({ ...ids, end }, "stopped reading the agent's inbox");
    // If a newer connection here has replaced this one, it has also closed it.
    if (this.#connected.get(agent.legacyId) !== agent) return;
    this.#connected.delete(agent.legacyId);
    agent.link.close();
    await this.#options.journal.remove(agent.legacyId);
  }
}

const lineOf = (message: InboxMessage): string => `${JSON.stringify(pushed(message))}\n`;
