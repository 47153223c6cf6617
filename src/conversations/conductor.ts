import type { Logger } from 'pino';
import {
  TURN_MESSAGE,
  type Abandoned,
  type ConversationRecord,
  type Floor,
  type SpeakerRecord,
} from '../../contracts/conversations/conversations.js';
import type { Broker } from '../broker/connect.js';
import { turnText } from './brief.js';
import { decide, type Happening } from './decide.js';
import { dueOf, type Due } from './due.js';
import type { Mailer } from '../agents/mailer.js';
import { ApiError } from '../errors/api-error.js';
import type { Principal } from '../access/principal.js';
import type { ConversationLines } from './lines.js';
import type { ConversationRecords, Digest, Digests } from './records.js';
import type { Teller } from './teller.js';

/** Who makes and removes the agents of a conversation, and ends what they do. Each may be asked again. */
export interface Cast {
  /** Whether such a one can be made. @throws {ApiError} */
  check(speaker: SpeakerRecord, principal: Principal): Promise<void>;
  /** @returns its session, or NO_SESSION. @throws {ApiError} */
  register(record: ConversationRecord, place: number, principal: Principal): Promise<string>;
  /** @throws {ApiError} */
  remove(agentId: string, principal: Principal): Promise<void>;
  /** Ends the task that a turn's message has become, or becomes. @throws {ApiError} */
  cancel(turn: Abandoned, principal: Principal): Promise<void>;
}

export interface ConductorOptions {
  readonly broker: Pick<Broker, 'clock' | 'connected'>;
  readonly records: ConversationRecords;
  readonly digests: Digests;
  readonly lines: ConversationLines;
  readonly teller: Pick<Teller, 'tell'>;
  readonly mailer: Pick<Mailer, 'send'>;
  readonly cast: Cast;
  readonly log: Logger;
}

export const NO_SESSION = '';

/** Each try loses to another change of the same conversation, which gets somewhere. */
/** How often it is looked what is due. */
const LOOK_MS = 1_000;
/** What is left to be done is somebody's who is at it; for so long. */
const LEFT_MS = 3_000;

/** In whose name a conversation acts: its owner's, as who asked for it. */
export const speakerOf = ({ owner, token_id }: Pick<ConversationRecord, 'owner' | 'token_id'>): Principal => ({
  tokenId: token_id,
  owner,
  scopes: new Set(['spawn', 'agents', 'read']),
  seesAll: false,
});

/**
 * Leads conversations on. What happens to one changes its state, by compare-and-set; what is due by its state is done after that, and again by any
 * API that finds it undone: so it goes on whatever dies, and nothing is done twice (a turn's message has an id that derives from the turn).
 */
export class Conductor {
  readonly #options: ConductorOptions;
  /** Since when something is left to be done, as far as this API knows, in its monotonic ms. */
  readonly #left = new Map<string, number>();
  /** When they must be looked at although nothing happens, in ms since 1970. */
  readonly #wakes = new Map<string, number>();
  readonly #driving = new Map<string, { again: boolean; done: Promise<void> }>();
  #forgetLook: (() => void) | undefined;
  #forgetChanges: (() => void) | undefined;
  #stopped = false;

  constructor(options: ConductorOptions) {
    this.#options = options;
  }

  start(): void {
    const { digests } = this.#options;
    for (const [id, { value }] of digests.entries()) this.#note(id, value);
    this.#forgetChanges = digests.onChange(({ key, now }) => this.#note(key, now));
    this.#look();
  }

  /** Resolves when nothing is under way. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forgetLook?.();
    this.#forgetChanges?.();
    await Promise.all([...this.#driving.values()].map(({ done }) => done));
  }

  /**
   * Makes something happen to a conversation; what follows from it is done after that. @returns the state that it has then; undefined: there
   * is none. @throws {ApiError} what `refuse` says of a state. @throws {BrokerError}
   */
  async happen(
    id: string,
    happening: Happening,
    refuse: (record: ConversationRecord) => void = () => undefined,
  ): Promise<ConversationRecord | undefined> {
    const changed = await this.#change(id, happening, refuse);
    if (changed !== undefined) this.drive(id);
    return changed;
  }

  /** Does what is due, now and by itself. */
  drive(id: string): void {
    const running = this.#driving.get(id);
    if (running !== undefined) {
      running.again = true;
      return;
    }
    if (this.#stopped) return;
    const entry = { again: false, done: Promise.resolve() };
    this.#driving.set(id, entry);
    entry.done = this.#drive(id).finally(() => {
      this.#driving.delete(id);
      if (entry.again) this.drive(id);
    });
  }

  /** Resolves when nothing is due that can be done now. */
  async settled(id: string): Promise<void> {
    for (let running = this.#driving.get(id); running !== undefined; running = this.#driving.get(id))
      await running.done;
  }

  #note(id: string, digest: Digest | undefined): void {
    this.#left.delete(id);
    this.#wakes.delete(id);
    if (digest?.wakesAt === 0) this.#left.set(id, this.#options.broker.clock.monotonic());
    else if (digest?.wakesAt !== undefined) this.#wakes.set(id, digest.wakesAt);
  }

  #look(): void {
    const { broker } = this.#options;
    this.#forgetLook = broker.clock.after(LOOK_MS, () => this.#look());
    if (!broker.connected()) return;
    const before = broker.clock.monotonic() - LEFT_MS;
    for (const [id, since] of this.#left)
      if (since < before) {
        this.#left.set(id, broker.clock.monotonic());
        this.drive(id);
      }
    for (const [id, at] of this.#wakes)
      if (at <= broker.clock.now()) {
        this.#wakes.set(id, broker.clock.now() + LEFT_MS);
        void this.happen(id, { kind: 'time' }).catch((error: unknown) => this.#failed(id, error));
      }
  }

  #failed(id: string, error: unknown): void {
    this.#options.log.warn({ err: error, conversation_id: id }, 'a conversation could not be led on; trying again');
  }

  async #change(
    id: string,
    happening: Happening,
    refuse: (record: ConversationRecord) => void,
  ): Promise<ConversationRecord | undefined> {
    const { records, lines, broker } = this.#options;
    const { record } = await records.update([id], async ({ record: stands }) => {
      if (stands === undefined) return undefined;
      refuse(stands);
      const decision = decide(stands, happening, broker.clock.now());
      if (decision?.line !== undefined) await lines.put(id, decision.line);
      return decision?.record;
    });
    return record;
  }

  /** Never rejects: what could not be done now is done later, here or elsewhere. */
  async #drive(id: string): Promise<void> {
    try {
      for (;;) {
        const record = await this.#options.records.get([id]);
        const due = record === undefined ? undefined : dueOf(record);
        if (record === undefined || due === undefined || this.#stopped) return;
        const happened = await this.#do(record, due);
        if (happened !== undefined) await this.#change(id, happened, () => undefined);
      }
    } catch (error) {
      this.#failed(id, error);
    }
  }

  /** @returns what has happened by it. */
  async #do(record: ConversationRecord, due: Due): Promise<Happening | undefined> {
    const { teller, records, cast } = this.#options;
    const { conversation_id: id, speakers } = record;
    const principal = speakerOf(record);
    switch (due.kind) {
      case 'tell':
        return { kind: 'told', events: await teller.tell(id, () => records.get([id])) };
      case 'register': {
        const speaker = speakers[due.speaker];
        if (speaker === undefined) return undefined;
        return permanent(
          async () => ({
            kind: 'registered',
            speaker: due.speaker,
            sessionId: await cast.register(record, due.speaker, principal),
          }),
          (error) => ({ kind: 'fail', why: `${speaker.name} could not be made: ${error.message}` }),
        );
      }
      case 'send':
        return record.floor === undefined ? undefined : this.#send(record, record.floor, principal);
      case 'cancel': {
        const over = { kind: 'cancelled', messageId: due.turn.message_id } as const;
        return permanent(
          async () => {
            await cast.cancel(due.turn, principal);
            return over;
          },
          () => over,
        );
      }
      case 'remove': {
        const agentId = speakers[due.speaker]?.agent_id ?? '';
        const over = { kind: 'removed', speaker: due.speaker } as const;
        return permanent(
          async () => {
            await cast.remove(agentId, principal);
            return over;
          },
          () => over,
        );
      }
      default:
        return undefined;
    }
  }

  async #send(record: ConversationRecord, floor: Floor, principal: Principal): Promise<Happening> {
    const { lines, mailer } = this.#options;
    const { conversation_id: id, speakers } = record;
    const { turn, message_id, from_line, to_line, speaker } = floor;
    const said = await lines.read(id, record.lines.slice(from_line, to_line));
    const message = {
      type: TURN_MESSAGE,
      to: speakers[speaker]?.agent_id ?? '',
      message_id,
      conversation_id: id,
      content: turnText(record, floor, said),
    };
    return permanent(
      async () => {
        await mailer.send(message, principal);
        return { kind: 'sent', turn };
      },
      (error) => ({ kind: 'failure', messageId: message_id, error: error.message, taskId: undefined, costUsd: 0 }),
    );
  }
}

/** What happens by work, or by a refusal of it that would be the same another time. @throws whatever may pass. */
async function permanent(work: () => Promise<Happening>, refused: (error: ApiError) => Happening): Promise<Happening> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError) || error.retryable) throw error;
    return refused(error);
  }
}
