import type { Published } from './server.js';
import type { SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';

/** What a link does at its server. */
interface Server {
  readonly up: boolean;
  readonly links: Set<Link>;
  receive(link: Link, published: Published): void;
  /** Somebody asks it for something. */
  onRequest(by: SimProcess): void;
}

export type Arrived = Pick<Published, 'subject' | 'data'> & Partial<Published>;

/** How much longer than the usual few ms a message may take, and all after it with it. */
const HICCUP_MS = 2_500;

/**
 * A process's connection to the broker, as TCP and the NATS client make it: in order both ways, late at times, lost as a whole
 * when it breaks; what is sent while it is broken goes out once it is back.
 */
export class Link {
  readonly process: SimProcess;
  readonly #server: Server;
  readonly #scheduler: Scheduler;
  readonly #hiccups: number;
  readonly #subscriptions = new Map<number, { parent: string; callback: (message: Arrived) => void }>();
  /** As the broker knows them, by what stands before the `.*`. */
  readonly #atServer = new Map<string, Set<number>>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #inbound: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  #connected = true;
  /** Of the connection: what belongs to an earlier one is lost. */
  #incarnation = 0;
  #cutUntil = 0;
  #lastOut = 0;
  #lastIn = 0;
  #nextId = 0;

  /** @param hiccups how likely it is that a message takes long. */
  constructor(process: SimProcess, server: Server, scheduler: Scheduler, hiccups: number) {
    this.process = process;
    this.#server = server;
    this.#scheduler = scheduler;
    this.#hiccups = hiccups;
    server.links.add(this);
    process.onDeath(() => server.links.delete(this));
    if (!server.up) this.lose();
  }

  get connected(): boolean {
    return this.#connected;
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @param subject `….*`; KSI uses no others here. */
  subscribe(subject: string, callback: (message: Arrived) => void): number {
    const id = this.#nextId++;
    const parent = parentOf(subject);
    if (subject !== `${parent}.*`) throw new Error(`the world has no subscriptions like ${subject}`);
    this.#subscriptions.set(id, { parent, callback });
    if (this.#connected) this.#transmit(() => this.#listen(id, parent));
    return id;
  }

  unsubscribe(id: number): void {
    const parent = this.#subscriptions.get(id)?.parent ?? '';
    this.#subscriptions.delete(id);
    if (this.#connected) this.#transmit(() => this.#atServer.get(parent)?.delete(id));
  }

  publish(published: Published): void {
    this.send(() => this.#server.receive(this, published));
  }

  /** Has something done at the broker, in its turn. A process may die instead. */
  send(call: () => void): void {
    if (!this.process.step()) return;
    if (this.#connected) this.#transmit(call);
    else this.#waiting.push(call);
  }

  /** Has something done in the process, in its turn; called by the broker. */
  answer(call: () => void): void {
    const incarnation = this.#incarnation;
    this.#lastIn = this.#arrival(this.#lastIn);
    this.#scheduler.after(this.#lastIn - this.#scheduler.now, () => {
      if (incarnation !== this.#incarnation) return;
      this.#inbound.push(call);
      this.process.run(() => this.#inbound.shift()?.());
    });
  }

  /** @returns whether somebody here listens to `to`. */
  deliver(to: string, message: Arrived): boolean {
    const ids = this.#atServer.get(parentOf(to));
    if (ids === undefined || ids.size === 0) return false;
    for (const id of ids) this.answer(() => this.#subscriptions.get(id)?.callback(message));
    return true;
  }

  /** Whether the connection of now is still there, as the broker sees it. */
  opened(): () => boolean {
    const incarnation = this.#incarnation;
    return () => incarnation === this.#incarnation && this.#server.links.has(this);
  }

  /** Nothing comes through for a while. */
  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#scheduler.now + ms);
  }

  /** The connection breaks, with all that is under way; another one is made as soon as may be. */
  lose(): void {
    this.#incarnation++;
    this.#atServer.clear();
    this.#inbound.length = 0;
    if (!this.#connected) return;
    this.#connected = false;
    this.process.run(() => this.#tell());
    this.#retry();
  }

  #retry(): void {
    this.#scheduler.after(200 + 400 * this.#scheduler.random(), () => {
      if (this.process.dead) return;
      if (!this.#server.up || this.process.still || this.#scheduler.now < this.#cutUntil) return this.#retry();
      this.#connected = true;
      for (const [id, { parent }] of this.#subscriptions) this.#transmit(() => this.#listen(id, parent));
      for (const call of this.#waiting) this.#transmit(call);
      this.#waiting = [];
      this.#tell();
    });
  }

  #listen(id: number, parent: string): void {
    this.#atServer.set(parent, (this.#atServer.get(parent) ?? new Set()).add(id));
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#connected);
  }

  #transmit(call: () => void): void {
    const incarnation = this.#incarnation;
    this.#lastOut = this.#arrival(this.#lastOut);
    this.#scheduler.after(this.#lastOut - this.#scheduler.now, () => {
      if (incarnation !== this.#incarnation || !this.#server.up) return;
      this.#server.onRequest(this.process);
      call();
    });
  }

  /** In order, though not at once. */
  #arrival(last: number): number {
    const { now, random } = this.#scheduler;
    const delay = 0.1 + 4 * random() ** 3 + (random() < this.#hiccups ? HICCUP_MS * random() ** 2 : 0);
    return Math.max(last + 1e-6, Math.max(now, this.#cutUntil) + delay);
  }
}

const parentOf = (subject: string): string => subject.slice(0, subject.lastIndexOf('.'));
