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
import { defined } from '../defined.js';

const RENEW_MS = (AGENT_PRESENCE_TTL_S * 1_000) / 3;

type Named = Pick<Agent, 'agent_id' | 'owner'>;

/** Called once when a connection loses the inbox: another connection took it over, or the agent was deleted. */
type Lost = (reason: DetachReason) => void;

interface Holding {
  readonly holder: string;
  readonly named: Named;
  readonly lost: Lost;
  /** The revision of the presence entry. Undefined until the broker confirms it: until then the order of two holders is unknown. */
  revision: number | undefined;
}

/** The exclusive right of a connection to an agent's inbox. */
export interface HeldPresence {
  readonly holder: string;
  /** Never rejects. */
  release(): Promise<void>;
}

/**
 * Which external agents are connected: entries of a bucket that expire unless they are renewed. Every API mirrors them in memory. One
 * connection at a time reads an agent's inbox. A newer connection overwrites the entry, and the API of the older one sees that.
 */
export class PresenceRegistry {
  readonly #broker: Broker;
  readonly #log: Logger;
  readonly #records: Records<typeof AgentPresence, IdKey>;
  readonly #cache: KvCache<AgentPresence>;
  /** The connections of this API, by agent. */
  readonly #held = new Map<string, Holding>();
  /** The time of each agent's last read over HTTP. */
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

  /** Takes an inbox over from its current holder. @throws {BrokerError} */
  async hold(named: Named, lost: Lost): Promise<HeldPresence> {
    const { agent_id: id } = named;
    const holder = randomUUID();
    const holding: Holding = { holder, named, lost, revision: undefined };
    const before = this.#held.get(id);
    this.#held.set(id, holding);
    before?.lost('replaced');
    this.#polled.delete(id);
    try {
      holding.revision = await this.#put(named, holder, 'subscription');
    } catch (error) {
      if (this.#held.get(id) === holding) this.#held.delete(id);
      // The broker may still have stored the entry.
      this.#work(this.#takeBack(id, holder));
      throw error;
    }
    this.#yieldToLater(id, holding);
    return { holder, release: () => this.#release(id, holder, named) };
  }

  /** Records a read over HTTP. The agent counts as connected while the reads continue. @throws {BrokerError} */
  async polled(named: Named): Promise<void> {
    const { agent_id: id } = named;
    const now = performance.now();
    const known = this.#cache.get(id);
    // The subscription renews the entry.
    if (known?.value.kind === 'subscription') return;
    if (known !== undefined && now - (this.#polled.get(id) ?? -Infinity) < RENEW_MS) return;
    this.#polled.set(id, now);
    await this.#put(named, this.#self, 'polling');
  }

  /** Deletes the presence of a deleted agent. @throws {BrokerError} */
  async forget(agentId: string): Promise<void> {
    const held = this.#held.get(agentId);
    this.#held.delete(agentId);
    held?.lost('removed');
    const known = this.#cache.get(agentId);
    if (known !== undefined) await this.#records.removeAt([agentId], known.revision);
  }

  /** @returns its revision. */
  async #put({ agent_id: id, owner }: Named, holder: string, kind: AgentPresence['kind']): Promise<number | undefined> {
    const known = this.#cache.get(id);
    const since = known?.value.holder === holder ? known.value.since : timestampOf(this.#broker.clock);
    const presence: AgentPresence = { v: FORMAT_VERSION, owner, holder, kind, since };
    const revision = await this.#records.put([id], presence);
    if (known === undefined) this.#work(this.#publish({ agent_id: id, owner }, 'connected'));
    return revision;
  }

  /** Another connection may have written the entry during our write. The later one has the inbox. */
  #yieldToLater(id: string, holding: Holding): void {
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
      // A changed revision means that another connection has taken the inbox over.
      if ((await this.#records.removeAt([id], known.revision)) === undefined) return;
      await this.#publish(named, 'disconnected');
    } catch (error) {
      this.#log.warn(
        { err: error, agent_id: id },
        `could not publish the agent's disconnect; its presence entry expires in ${AGENT_PRESENCE_TTL_S} s`,
      );
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
    // The client also reads over HTTP, and those reads renew the entry.
    if (known.value.holder !== holding.holder) return;
    const written = await this.#records.put([id], known.value, known.revision);
    if (written !== undefined) this.#renewed(id, holding, written);
  }

  /** Creates an expired entry anew, unless another connection has done so. Entries expire while the broker is unavailable. */
  async #putAgain(id: string, holding: Holding): Promise<void> {
    const { revision, exists } = await this.#records.entry([id]);
    if (exists || this.#held.get(id) !== holding) return;
    const { named, holder } = holding;
    const since = timestampOf(this.#broker.clock);
    const presence: AgentPresence = { v: FORMAT_VERSION, owner: named.owner, holder, kind: 'subscription', since };
    const written = await this.#records.put([id], presence, revision);
    if (written === undefined) return;
    this.#renewed(id, holding, written);
    await this.#publish(named, 'connected');
  }

  #renewed(id: string, holding: Holding, revision: number): void {
    holding.revision = revision;
    // The connection was released during the write.
    if (!this.#held.has(id)) this.#work(this.#takeBack(id, holding.holder));
  }

  #onChange({ key: id, before, now, revision, expired }: KvChange<AgentPresence>): void {
    const held = this.#held.get(id);
    const later = held?.revision !== undefined && revision > held.revision;
    if (held !== undefined && later && now !== undefined && replaces(now, held)) {
      this.#held.delete(id);
      held.lost('replaced');
    }
    // Another API deleted the agent. An expired entry is created anew by the renewal.
    if (held !== undefined && later && now === undefined && !expired && before?.holder === held.holder) {
      this.#held.delete(id);
      held.lost('removed');
    }
    // Every API sees the expiry and publishes the event with the same id; the broker discards the duplicates.
    if (expired && before !== undefined)
      this.#work(
        this.#publish({ agent_id: id, owner: before.owner }, 'disconnected', 'lost', `${id}-lost-${revision}`),
      );
  }

  async #publish(named: Named, status: 'connected' | 'disconnected', reason?: string, msgId?: string): Promise<void> {
    const { agent_id, owner } = named;
    const event = newEvent(
      this.#broker.clock,
      'AGENT_STATUS',
      defined({
        agent_id,
        owner,
        status,
        reason,
      }),
    );
    const publication = eventPublication(event, SUBJECT.agentEvent(agent_id, 'status'));
    await this.#broker.publisher.publish(msgId === undefined ? publication : { ...publication, msgId });
  }

  #work(work: Promise<unknown>): void {
    const done = work
      .catch((error: unknown) =>
        this.#log.warn({ err: error }, "could not update an agent's presence; the next renewal retries"),
      )
      .finally(() => this.#working.delete(done));
    this.#working.add(done);
  }
}

/** A read over HTTP does not replace a subscription. */
const replaces = ({ holder, kind }: AgentPresence, held: Holding): boolean =>
  kind === 'subscription' && holder !== held.holder;
