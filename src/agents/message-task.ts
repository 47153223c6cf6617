import { v5 as uuidv5 } from 'uuid';
import type { Agent } from '../../contracts/agents/agents.js';
import { ANSWER_MESSAGE, isTurnMessage } from '../../contracts/conversations/conversations.js';
import { MESSAGE_NAMESPACE, type InboxMessage } from '../../contracts/agents/messages.js';
import type { IdempotentAcceptor } from '../tasks/accept/spawn-idempotency.js';
import { NOBODY, SUBJECT } from '../../contracts/wire/names.js';
import { ApiError, apiErrorOf } from '../errors/api-error.js';
import type { Exchanges } from '../access/exchanges.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Clock } from '../clock.js';
import type { Principal } from '../access/principal.js';
import type { SpawnRateLimiter } from '../access/rates/limiter.js';
import type { TokenRegistry } from '../access/tokens/registry.js';
import type { Reaction } from './reactions.js';
import type { MessageSender } from './message-sender.js';
import type { MessageIdIndex } from './message-id-index.js';
import { defined } from '../defined.js';
import type { Scope } from '../../contracts/wire/choices.js';

export interface MessageTaskCreatorOptions {
  readonly once: Pick<IdempotentAcceptor, 'acceptForMessage'>;
  readonly messageSender: Pick<MessageSender, 'send'>;
  readonly tokens: Pick<TokenRegistry, 'find' | 'isValid'>;
  readonly spawnRate: Pick<SpawnRateLimiter, 'take'>;
  readonly exchanges: Pick<Exchanges, 'limit'>;
  /** Searches KSI_MESSAGES. */
  readonly stored: Pick<MessageIdIndex, 'has'>;
  readonly metrics: Pick<Metrics, 'spawns'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** The token id for messages without a known token. */
const NO_TOKEN = 'agents';
/** The broker deduplicates for 2 min. For older messages, a search for a stored refusal comes first; the rest is a safety margin. */
const CERTAIN_MS = 60_000;

/** Turns messages to managed agents into tasks, charged to the token that began the exchange. */
export class MessageTaskCreator {
  readonly #options: MessageTaskCreatorOptions;

  constructor(options: MessageTaskCreatorOptions) {
    this.#options = options;
  }

  /** Idempotent. @returns the id of the message's task, or the error that prevents one. */
  async create(
    { agent_id, owner, agent_tools, exchange_limits: limits }: Agent,
    message: InboxMessage,
    { request, message: of }: Extract<Reaction, { kind: 'task' }>,
  ): Promise<string | ApiError> {
    const { once, spawnRate, metrics, exchanges } = this.#options;
    const exchangeId = message.exchange_id ?? message.message_id;
    const principal = this.principal(owner, message.token_id);
    try {
      await this.#refuseRevoked(principal.tokenId);
      spawnRate.take(principal);
      await exchanges.limit(owner, exchangeId, limits);
      const { accepted, replayed } = await once.acceptForMessage(request, principal, {
        agent_id,
        message: of,
        exchange_id: exchangeId,
        ...(agent_tools === undefined || agent_tools.length === 0 ? {} : { agent_tools }),
      });
      metrics.spawns.inc({ result: replayed ? 'replayed' : 'accepted' });
      return accepted.task_id;
    } catch (thrown) {
      const error = apiErrorOf(thrown);
      metrics.spawns.inc({ result: error.code });
      return error;
    }
  }

  /** Sends the sender an error message: its message did not become a task. @throws {ApiError} */
  async refuse({ agent_id, owner }: Agent, message: InboxMessage, { code, message: why }: ApiError): Promise<void> {
    const { messageSender, stored } = this.#options;
    const answer = defined({
      ...(isTurnMessage(message) ? { type: ANSWER_MESSAGE } : {}),
      from: agent_id,
      to: message.from,
      conversation_id: message.conversation_id,
      reply_to: message.message_id,
      message_id: uuidv5(`refused/${agent_id}/${message.message_id}`, MESSAGE_NAMESPACE),
      content: why,
    });
    const subject = SUBJECT.messageStored(
      isTurnMessage(message) ? ANSWER_MESSAGE : 'DIRECT_MESSAGE',
      message.from ?? NOBODY,
    );
    // An API may have crashed after it sent the refusal.
    const old = this.#options.clock.now() - Date.parse(message.timestamp) > CERTAIN_MS;
    if (old && (await stored.has(subject, owner, answer.message_id, message.seq))) return;
    try {
      const within = {
        hops: message.hops + 1,
        exchange_id: message.exchange_id ?? message.message_id,
        error: { code, message: why },
      };
      await messageSender.send(answer, this.principal(owner, message.token_id), within);
    } catch (error) {
      // The sender has been deleted.
      if (!(error instanceof ApiError && error.code === 'not_found')) throw error;
    }
  }

  /** A revoked or expired token stops the exchange that it began. @throws {ApiError} unauthorized */
  async #refuseRevoked(tokenId: string): Promise<void> {
    if (tokenId !== NO_TOKEN && !(await this.#options.tokens.isValid(tokenId)))
      throw new ApiError('unauthorized', 'The token that began this exchange was revoked or has expired');
  }

  /** The principal of a managed agent's task. */
  principal(owner: string, tokenId: string = NO_TOKEN): Principal {
    const { rate, concurrency } = this.#options.tokens.find(tokenId) ?? {};
    return defined({
      tokenId,
      owner,
      scopes: new Set<Scope>(['spawn', 'agents', 'read']),
      seesAll: false,
      rate,
      concurrency,
    });
  }
}
