import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import {
  AGENT_PRESENCE_RECORDS,
  AGENT_PRESENCE_TTL_S,
  type Agent,
  type AgentPresence,
} from '../../contracts/agents/agents.js';
import { FORMAT_VERSION, SUBJECT } from '../../contracts/wire/names.js';
import type { IdKey } from '../../contracts/wire/record-kind.js';
import type { DetachReason } from '../../contracts/api/ws.js';
import type { Broker } from '../broker/connect.js';
import { eventPublication, newEvent } from '../broker/events.js';
import type { KvCache, KvChange } from '../broker/kv-cache.js';
import { Records, REMOVE } from '../broker/records.js';
import { timestampOf } from '../clock.js';

const RENEW_MS = (AGENT_PRESENCE_TTL_S * 1_000) / 3;

type Named = Pick<Agent, 'agent_id' | 'owner'>;

/** Called once a connection reads the inbox no more, as another does or the agent is gone. */
type Lost = (reason: DetachReason) => void;

interface Holding {
  readonly holder: string;
  readonly named: Named;
  readonly lost: Lost;
  /** Of its entry; undefined until the broker has acknowledged it: nothing tells before that who was later. */
  revision: number | undefined;
}

/** A connection that reads an agent's inbox. */
export interface Held {
  readonly holder: string;
  /** It reads no more. Never rejects. */
  release(): Promise<void>;
}

/**
 * Which external agents are connected: entries of a bucket that go unless they are renewed, in memory at every API. One connection at a
 * time reads an agent's inbox: a newer one takes the entry over, and the older one's API sees that.
 */
export class Presence {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #records: Records<typeof AgentPresence, IdKey>;
  readonly #cache: KvCache<AgentPresence>;
  /** Those that this API holds, and what to call when one is lost. */
  readonly #held = new Map<string, Holding>();
  /** Those that read over HTTP, and when they did last. */
  readonly #polled = new Map<string, number>();
  readonly #self = randomUUID();
  readonly #renewMs: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #working = new Set<Promise<unknown>>();

  constructor(broker: Broker, log: Logger, renewMs = RENEW_MS) {
    this.#broker = broker;
    this.#renewMs = renewMs;
    this.#log = log;
    this.#records = new Records(broker, AGENT_PRESENCE_RECORDS, log);
    this.#cache = this.#records.watch({ of: (presence) => presence, log });
    this.#cache.onChange((change) => this.#onChange(change));
  }

  /** @throws {BrokerError} */
  async start(): Promise<void> {
    await this.#cache.start();
    this.#timer = setInterval(() => this.#renew(), this.#renewMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#held].map(([id, { holder, named }]) => this.#release(id, holder, named)));
    await Promise.all(this.#working);
    await this.#cache.stop();
  }

  connected(agentId: string): boolean {
    return this.#cache.get(agentId) !== undefined;
  }

  /** Takes an agent over from whoever reads its inbox. @throws {BrokerError} */
  async hold(named: Named, lost: Lost): Promise<Held> {
    const { agent_id: id } = named;
    const holder = randomUUID();
    const holding: Holding = { holder, named, lost, revision: undefined };
    const before = this.#held.get(id);
    this.#held.set(id, holding);
    before?.lost('replaced');
    this.#polled.delete(id);
    try {
      holding.revision = await this.#put(named, holder);
    } catch (error) {
      if (this.#held.get(id) === holding) this.#held.delete(id);
      // It may be stored all the same.
      this.#work(this.#takeBack(id, holder));
      throw error;
    }
    this.#judge(id, holding);
    return { holder, release: () => this.#release(id, holder, named) };
  }

  /** It reads its inbox over HTTP: it is there as long as it goes on with that. @throws {BrokerError} */
  async polled(named: Named): Promise<void> {
    const { agent_id: id } = named;
    const now = performance.now();
    const known = this.#cache.get(id);
    // A connection that stands is presence enough.
    if (known !== undefined && !known.value.holder.startsWith('http:')) return;
    if (known !== undefined && now - (this.#polled.get(id) ?? -Infinity) < RENEW_MS) return;
    this.#polled.set(id, now);
    await this.#put(named, `http:${this.#self}`);
  }

  /** Of an agent that is removed. @throws {BrokerError} */
  async forget(agentId: string): Promise<void> {
    const held = this.#held.get(agentId);
    this.#held.delete(agentId);
    held?.lost('removed');
    const known = this.#cache.get(agentId);
    if (known !== undefined) await this.#records.removeAt([agentId], known.revision);
  }

  /** @returns its revision. */
  async #put({ agent_id: id, owner }: Named, holder: string): Promise<number | undefined> {
    const known = this.#cache.get(id);
    const since = known?.value.holder === holder ? known.value.since : timestampOf(this.#broker.clock);
    const presence: AgentPresence = { v: FORMAT_VERSION, owner, holder, since };
    const revision = await this.#records.put([id], presence);
    if (known === undefined) this.#work(this.#tell({ agent_id: id, owner }, 'connected'));
    return revision;
  }

  /** What others wrote while it was put: who was later has it. */
  #judge(id: string, holding: Holding): void {
    const now = this.#cache.get(id);
    if (this.#held.get(id) !== holding || (now !== undefined && !replaces(now.value, holding))) return;
    this.#held.delete(id);
    holding.lost(now === undefined ? 'removed' : 'replaced');
  }

  /** @throws {BrokerError} */
  async #takeBack(id: string, holder: string): Promise<void> {
    await this.#records.update([id], ({ readable }) => (readable?.holder === holder ? REMOVE : undefined));
  }

  async #release(id: string, holder: string, named: Named): Promise<void> {
    if (this.#held.get(id)?.holder === holder) this.#held.delete(id);
    const known = this.#cache.get(id);
    if (known?.value.holder !== holder) return;
    try {
      // Whoever has taken it over since keeps it.
      if ((await this.#records.removeAt([id], known.revision)) === undefined) return;
      await this.#tell(named, 'disconnected');
    } catch (error) {
      this.#log.warn({ err: error, agent_id: id }, 'that an agent went could not be said; it shows in 30 s');
    }
  }

  #renew(): void {
    for (const [id, holding] of this.#held) if (holding.revision !== undefined) this.#work(this.#renewOne(id, holding));
    const old = performance.now() - AGENT_PRESENCE_TTL_S * 1_000;
    for (const [id, at] of this.#polled) if (at < old) this.#polled.delete(id);
  }

  async #renewOne(id: string, holding: Holding): Promise<void> {
    const known = this.#cache.get(id);
    if (known === undefined) return this.#putAgain(id, holding);
    // Over HTTP it is read besides: that entry is renewed by who reads.
    if (known.value.holder !== holding.holder) return;
    const written = await this.#records.put([id], known.value, known.revision);
    if (written !== undefined) this.#renewed(id, holding, written);
  }

  /** Its entry had expired, as the broker was away for long; unless somebody has put another there. */
  async #putAgain(id: string, holding: Holding): Promise<void> {
    const { revision, exists } = await this.#records.entry([id]);
    if (exists || this.#held.get(id) !== holding) return;
    const { named, holder } = holding;
    const since = timestampOf(this.#broker.clock);
    const presence: AgentPresence = { v: FORMAT_VERSION, owner: named.owner, holder, since };
    const written = await this.#records.put([id], presence, revision);
    if (written === undefined) return;
    this.#renewed(id, holding, written);
    await this.#tell(named, 'connected');
  }

  #renewed(id: string, holding: Holding, revision: number): void {
    holding.revision = revision;
    // Released meanwhile.
    if (!this.#held.has(id)) this.#work(this.#takeBack(id, holding.holder));
  }

  #onChange({ key: id, before, now, revision, expired }: KvChange<AgentPresence>): void {
    const held = this.#held.get(id);
    const later = held?.revision !== undefined && revision > held.revision;
    if (held !== undefined && later && now !== undefined && replaces(now, held)) {
      this.#held.delete(id);
      held.lost('replaced');
    }
    // At another API. What has expired is put there again.
    if (held !== undefined && later && now === undefined && !expired && before?.holder === held.holder) {
      this.#held.delete(id);
      held.lost('removed');
    }
    // Every API sees it, and they say it under one id.
    if (expired && before !== undefined)
      this.#work(this.#tell({ agent_id: id, owner: before.owner }, 'disconnected', 'lost', `${id}-lost-${revision}`));
  }

  async #tell(named: Named, status: 'connected' | 'disconnected', reason?: string, msgId?: string): Promise<void> {
    const { agent_id, owner } = named;
    const event = newEvent(this.#broker.clock, 'AGENT_STATUS', {
      agent_id,
      owner,
      status,
      ...(reason === undefined ? {} : { reason }),
    });
    const publication = eventPublication(event, SUBJECT.agentEvent(agent_id, 'status'));
    await this.#broker.publisher.publish(msgId === undefined ? publication : { ...publication, msgId });
  }

  #work(work: Promise<unknown>): void {
    const done = work
      .catch((error: unknown) => this.#log.warn({ err: error }, "an agent's presence could not be kept up"))
      .finally(() => this.#working.delete(done));
    this.#working.add(done);
  }
}

/** Who reads over HTTP replaces no connection. */
const replaces = ({ holder }: AgentPresence, held: Holding): boolean =>
  holder !== held.holder && !holder.startsWith('http:');
