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
  /** Ids of those that connect to the broker themselves. */
  readonly ids: readonly string[];
  readonly log: Logger;
}

interface Verb<S extends TSchema = TSchema> {
  readonly schema: S;
  /** Kept in the audit. */
  readonly changes: boolean;
  readonly run: (request: Static<S>, agent: Agent, as: Principal, agents: Agents) => unknown;
}
const verb = <S extends TSchema>(changes: boolean, schema: S, run: Verb<S>['run']): Verb =>
  ({ schema, changes, run }) as Verb;

/** What an agent may do as itself: `ksi.agents.<id>.<verb>`. */
const VERBS: ReadonlyMap<string, Verb> = new Map([
  [
    'send',
    verb(true, MessageRequest, (request, { agent_id: from }, as, agents) => {
      if (request.from !== undefined && request.from !== from)
        throw invalid([{ field: 'from', message: `is ${from}, whoever you say` }]);
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
/** Acknowledgements of so long become one receipt. */
const GATHER_MS = 100;

/**
 * Agents that connect to the broker themselves (KSI_NATS_AGENTS, nats.conf). Each asks on subjects where only it can: so the broker says who
 * asks. Their messages they pull from consumers of their own; what they acknowledge there moves their inbox's position too.
 */
export class NatsAgents {
  readonly #options: NatsAgentsOptions;
  readonly #answering = new Set<Promise<void>>();
  readonly #gathering = new Map<string, () => void>();
  #unsubscribe: (() => void) | undefined;

  constructor(options: NatsAgentsOptions) {
    this.#options = options;
  }

  start(): void {
    const { nc } = this.#options.broker;
    const queue = SERVICE.name;
    const subscriptions = [
      nc.subscribe(SUBJECT.nativeAgents, { queue, callback: (_error, msg) => this.#asked(msg) }),
      nc.subscribe(`${METRIC}*`, { queue, callback: (_error, msg) => this.#acknowledged(msg.subject) }),
    ];
    this.#unsubscribe = () => subscriptions.forEach((each) => each.unsubscribe());
    // What was acknowledged while no API was there.
    for (const id of this.#options.ids) this.#gather(id);
  }

  /** Resolves when all that was asked is answered. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    for (const forget of this.#gathering.values()) forget();
    await Promise.all(this.#answering);
  }

  #asked(msg: Msg): void {
    // What a consumer delivers to this subject is no request (ADR 9).
    if (msg.reply?.startsWith('$JS.') === true) return;
    this.#work(this.#answer(msg));
  }

  /** Never rejects. */
  async #answer(msg: Msg): Promise<void> {
    const { agents, audit, log } = this.#options;
    const requestId = requestIdIn(msg);
    const [, , id = '', name = ''] = msg.subject.split('.');
    const found = VERBS.get(name);
    let owner: string | undefined;
    const keep = (result: string, done?: unknown): void => {
      if (found?.changes !== true || owner === undefined) return;
      const { message_id: target = id } = (done ?? {}) as { message_id?: string };
      const verb = name === 'send' ? 'send' : 'agent_update';
      audit.record({ owner, token_id: tokenOf(id), verb, target, result, over: 'nats', request_id: requestId });
    };
    try {
      if (found === undefined) throw new ApiError('not_found', `There is no verb ${name}`);
      const { value: agent } = await agents.registry.agent(id, ANYBODY);
      ({ owner } = agent);
      const request = check(found.schema, requestIn(msg));
      if (!request.ok) throw invalid(request.faults);
      const done = await found.run(request.value, agent, asAgent(agent), agents);
      keep('ok', done);
      respond(msg, JSON.stringify(done), requestId, log);
    } catch (thrown) {
      const error = toApiError(thrown);
      keep(error.code);
      if (error.status >= 500)
        log.error({ err: error, subject: msg.subject, request_id: requestId }, 'a request of an agent failed');
      refuse(msg, error, requestId, log);
    }
  }

  #acknowledged(subject: string): void {
    const prefix = METRIC + CONSUMER.nativeInbox('');
    const id = subject.slice(prefix.length);
    if (subject.startsWith(prefix) && ID.test(id)) this.#gather(id);
  }

  #gather(id: string): void {
    if (this.#gathering.has(id)) return;
    const forget = this.#options.broker.clock.after(GATHER_MS, () => {
      this.#gathering.delete(id);
      this.#work(this.#follow(id));
    });
    this.#gathering.set(id, forget);
  }

  /** Brings the inbox's position to where the consumer has acknowledged all. @throws {BrokerError | ApiError} */
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

  #work(work: Promise<void>): void {
    const done = work
      .catch((error: unknown) => this.#options.log.warn({ err: error }, "an agent's receipt comes later"))
      .finally(() => this.#answering.delete(done));
    this.#answering.add(done);
  }
}

/** Whose it is, the registry says. */
const ANYBODY: Principal = { tokenId: '', owner: '', scopes: new Set(), seesAll: true };

const tokenOf = (id: string): string => NATIVE_TOKEN + id;

const asAgent = ({ agent_id: id, owner }: Agent): Principal => ({
  tokenId: tokenOf(id),
  owner,
  scopes: new Set(['agents', 'read']),
  seesAll: false,
});
