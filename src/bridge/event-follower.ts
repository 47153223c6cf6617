import type { Logger } from 'pino';
import type { EventEnvelope } from '../../contracts/events/events.js';
import { LEGACY_DAEMON } from '../../contracts/bridge/legacy.js';
import type { Message } from '../../contracts/agents/messages.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import type { KsiApi } from '../client/api.js';
import { pause, pauseBefore } from '../client/backoff.js';
import { isEvent, isGap } from '../client/event-message.js';
import { legacyAgentId } from './agent-ids.js';
import type { BridgeAgents } from './agents.js';
import type { MessageLog } from './files/message-log.js';
import { pushed } from './messages.js';
import type { AgentDirectory } from './agent-directory.js';

const MESSAGES = SUBJECT.agentMessage('*', '*');
const ENDS = SUBJECT.agentEvent('*', 'terminated');
const TERMINATED = 'AGENT_TERMINATED';

interface Options {
  readonly client: KsiApi;
  readonly messageLog: MessageLog;
  readonly agents: BridgeAgents;
  readonly directory: AgentDirectory;
  /** The process ids of agents that clients spawned, by the agents' ids in KSI. */
  readonly spawned: ReadonlyMap<string, string>;
  readonly log: Logger;
}

/** Follows the events of the owner's agents. Logs every message for clients, and announces each agent that ended. */
export class EventFollower {
  readonly #options: Options;
  readonly #stopping = new AbortController();
  #following: Promise<void> = Promise.resolve();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Continues where the last bridge stopped. The first bridge starts with the next event. */
  async start(): Promise<void> {
    const since = await this.#options.messageLog.open();
    this.#following = this.#follow(since);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the bridge stops'));
    await this.#following;
    await this.#options.messageLog.keep();
  }

  async #follow(from: string | undefined): Promise<void> {
    const { client, log } = this.#options;
    const { signal } = this.#stopping;
    let since = from;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        for await (const message of client.events({ subjects: [MESSAGES, ENDS], since, signal })) {
          if (isGap(message)) log.warn(message, 'message_bus.jsonl lacks messages that KSI has deleted by retention');
          if (!isEvent(message)) continue;
          await this.#take(message);
          since = message.cursor;
          tries = 0;
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'could not follow the events; retrying');
        await pause(pauseBefore(tries), signal).catch(() => undefined);
      }
    }
  }

  async #take(event: EventEnvelope): Promise<void> {
    const { messageLog } = this.#options;
    if (event.type === TERMINATED) return this.#terminated(event);
    if (event.type !== 'AGENT_MESSAGE') return;
    const message = { ...(event.data as unknown as Message), timestamp: event.timestamp };
    await messageLog.append({ ...pushed(message), id: message.message_id }, event.cursor);
  }

  /** Announces the end of an agent to the subscribers connected here. Other bridges announce it to theirs. */
  async #terminated(event: EventEnvelope): Promise<void> {
    const { messageLog, agents, directory, spawned } = this.#options;
    const id = String(event.data['agent_id']);
    const agent = legacyAgentId(id);
    const message = {
      id: event.id,
      type: TERMINATED,
      from: LEGACY_DAEMON,
      timestamp: event.timestamp,
      process_id: spawned.get(id) ?? null,
      agent_id: agent,
      returncode: 0,
      terminated_at: event.timestamp,
    };
    await messageLog.append(message, event.cursor);
    const subscribers: string[] = [];
    for await (const { agent_id: id, subscriptions } of directory.all())
      if (subscriptions.includes(TERMINATED)) subscribers.push(legacyAgentId(id));
    agents.push(subscribers, `${JSON.stringify(message)}\n`);
  }
}
