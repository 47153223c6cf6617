import { NATIVE_TOKEN } from '../../access/principal.js';
import type { Msg } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import type { Static, TSchema } from 'typebox';
import { Type } from 'typebox';
import { AGENT_PATTERN, AgentChange, AgentsQuery, type Agent } from '../../../contracts/agents/agents.js';
import { check } from '../../../contracts/wire/check.js';
import { InboxAck, InboxQuery, MessageRequest } from '../../../contracts/agents/messages.js';
import { CONSUMER, SERVICE, STREAM, SUBJECT } from '../../../contracts/wire/names.js';
import type { Broker } from '../../broker/connect.js';
import { asBrokerError } from '../../broker/read.js';
import type { Audit } from '../../access/audit.js';
import { ApiError, invalid } from '../../errors/api-error.js';
import { refuse, requestIdIn, requestIn, respond } from './answer.js';
import type { Principal } from '../../access/principal.js';
import { toApiError } from '../../errors/problem.js';
import type { Agents } from '../../agents/agents.js';

export interface NatsAgentsOptions {
  readonly broker: Broker;
  readonly agents: Agents;
  readonly audit: Pick<Audit, 'record'>;
  /** Ids of the agents that connect to the broker themselves. */
  readonly ids: readonly string[];
  readonly log: Logger;
}

interface Verb<S extends TSchema = TSchema> {
  readonly schema: S;
  /** Whether the audit records the request. */
  readonly changes: boolean;
  readonly run: (request: Static<S>, agent: Agent, as: Principal, agents: Agents) => unknown;
}
const verb = <S extends TSchema>(changes: boolean, schema: S, run: Verb<S>['run']): Verb =>
  ({ schema, changes, run }) as Verb;

/** The requests that an agent can send as itself, on `ksi.agents.<id>.<verb>`. */
const VERBS: ReadonlyMap<string, Verb> = new Map([
  [
    'send',
    verb(true, MessageRequest, (request, { agent_id: from }, as, agents) => {
      if (request.from !== undefined && request.from !== from)
        throw invalid([
          { field: 'from', message: `must be absent or ${from}, the agent that this subject belongs to` },
        ]);
      return agents.send({ ...request, from }, as);
    }),
  ],
  ['inbox', verb(false, InboxQuery, (query, { agent_id: id }, as, agents) => agents.inbox(id, query, as))],
  ['ack', verb(false, InboxAck, (ack, { agent_id: id }, as, agents) => agents.ack(id, ack, as))],
  ['agents', verb(false, AgentsQuery, (query, _agent, as, agents) => agents.page(query, as))],
  [
    'self',
    verb(false, Type.Object({}, { additionalProperties: false }), (_nothing, { agent_id: id }, as, agents) =>
      agents.one(id, as),
    ),
  ],
  ['update', verb(true, AgentChange, (change, { agent_id: id }, as, agents) => agents.update(id, change, as))],
]);

const ID = new RegExp(AGENT_PATTERN);
const METRIC = `$JS.EVENT.METRIC.CONSUMER.ACK.${STREAM.messages}.`;
/** Acknowledgements within this time move the inbox cursor once. */
const ACK_DELAY_MS = 100;

/**
 * Serves the agents that connect to the broker themselves (KSI_NATS_AGENTS, nats.conf). The broker lets only the agent itself publish to its
 * subjects, so the subject identifies the agent. Each agent pulls its messages from its own consumer. This class moves the agent's inbox
 * cursor to the messages that it has acknowledged there.
 */
export class NatsAgents {
  readonly #options: NatsAgentsOptions;
  readonly #pending = new Set<Promise<void>>();
  readonly #cancelFollow = new Map<string, () => void>();
  #unsubscribe: (() => void) | undefined;

  constructor(options: NatsAgentsOptions) {
    this.#options = options;
  }

  start(): void {
    const { nc } = this.#options.broker;
    const queue = SERVICE.name;
    const subscriptions = [
      nc.subscribe(SUBJECT.natsAgents, { queue, callback: (_error, msg) => this.#onRequest(msg) }),
      nc.subscribe(`${METRIC}*`, { queue, callback: (_error, msg) => this.#onAcknowledged(msg.subject) }),
    ];
    this.#unsubscribe = () => subscriptions.forEach((each) => each.unsubscribe());
    // Messages may have been acknowledged while no API ran.
    for (const id of this.#options.ids) this.#scheduleFollow(id);
  }

  /** Resolves when all requests are answered. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    for (const cancel of this.#cancelFollow.values()) cancel();
    await Promise.all(this.#pending);
  }

  #onRequest(msg: Msg): void {
    // A message that a consumer delivers to this subject is not a request (ADR 9).
    if (msg.reply?.startsWith('$JS.') === true) return;
    this.#track(this.#answer(msg));
  }

  /** Never rejects. */
  async #answer(msg: Msg): Promise<void> {
    const { agents, audit, log } = this.#options;
    const requestId = requestIdIn(msg);
    const [, , id = '', name = ''] = msg.subject.split('.');
    const found = VERBS.get(name);
    let owner: string | undefined;
    const record = (result: string, answer?: unknown): void => {
      if (found?.changes !== true || owner === undefined) return;
      const { message_id: target = id } = (answer ?? {}) as { message_id?: string };
      const verb = name === 'send' ? 'send' : 'agent_update';
      audit.record({ owner, token_id: tokenOf(id), verb, target, result, over: 'nats', request_id: requestId });
    };
    try {
      if (found === undefined) throw new ApiError('not_found', `Agents have no request \`${name}\``);
      const { value: agent } = await agents.registry.agent(id, ANY_OWNER);
      ({ owner } = agent);
      const request = check(found.schema, requestIn(msg));
      if (!request.ok) throw invalid(request.faults);
      const answer = await found.run(request.value, agent, asAgent(agent), agents);
      record('ok', answer);
      respond(msg, JSON.stringify(answer), requestId, log);
    } catch (thrown) {
      const error = toApiError(thrown);
      record(error.code);
      if (error.status >= 500)
        log.error({ err: error, subject: msg.subject, request_id: requestId }, 'the request of a NATS agent failed');
      refuse(msg, error, requestId, log);
    }
  }

  #onAcknowledged(subject: string): void {
    const prefix = METRIC + CONSUMER.nativeInbox('');
    const id = subject.slice(prefix.length);
    if (subject.startsWith(prefix) && ID.test(id)) this.#scheduleFollow(id);
  }

  #scheduleFollow(id: string): void {
    if (this.#cancelFollow.has(id)) return;
    const cancel = this.#options.broker.clock.after(ACK_DELAY_MS, () => {
      this.#cancelFollow.delete(id);
      this.#track(this.#follow(id));
    });
    this.#cancelFollow.set(id, cancel);
  }

  /** Moves the agent's inbox cursor to its consumer's acknowledgement floor. @throws {BrokerError | ApiError} */
  async #follow(id: string): Promise<void> {
    const { broker, agents } = this.#options;
    const agent = agents.registry.find(id)?.value;
    if (agent === undefined) return;
    try {
      const info = await broker.jsm.consumers.info(STREAM.messages, CONSUMER.nativeInbox(id));
      const { stream_seq: floor } = info.ack_floor;
      if (floor > (await agents.positions.of(id))) await agents.inboxes.take(agent, floor);
    } catch (error) {
      throw error instanceof ApiError ? error : asBrokerError(error, `reading the consumer of ${id}`);
    }
  }

  #track(work: Promise<void>): void {
    const done = work
      .catch((error: unknown) =>
        this.#options.log.warn(
          { err: error },
          "could not move a NATS agent's inbox cursor; its next acknowledgement moves it",
        ),
      )
      .finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }
}

/** Finds agents of every owner: the broker has already authenticated the agent. */
const ANY_OWNER: Principal = { tokenId: '', owner: '', scopes: new Set(), seesAll: true };

const tokenOf = (id: string): string => NATIVE_TOKEN + id;

const asAgent = ({ agent_id: id, owner }: Agent): Principal => ({
  tokenId: tokenOf(id),
  owner,
  scopes: new Set(['agents', 'read']),
  seesAll: false,
});
