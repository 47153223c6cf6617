import { headers as newHeaders, type MsgHdrs, type MsgHdrsImpl } from '@nats-io/transport-node';
import { BUCKET, CONSUMER, HEADER, RUN_PRIORITIES, STREAM, SUBJECT } from '../../contracts/wire/names.js';
import { SimConsumer } from './consumer.js';
import type { Link } from './link.js';
import { EPOCH, type SimProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import { SimStream, type Incoming, type SimMessage } from './stream.js';

export interface Published {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly header: MsgHdrs | undefined;
  readonly reply: string | undefined;
}

/** Who is told what happens at a server, as it happens. */
export interface ServerWatch {
  /** @param by undefined: the server's own schedules. */
  stored(stream: string, message: SimMessage, by: SimProcess | undefined): void;
  onRequest(by: SimProcess): void;
}

/** The one queue of a world. */
export const QUEUE = 'default';
const ACK = '$JS.ACK.';
const PULL = '$JS.API.CONSUMER.MSG.NEXT.';
const GET = '$JS.API.STREAM.MSG.GET.';
const NO_MESSAGE = 10037;
const NS_PER_MS = 1_000_000;
const NO_RESPONDERS = 503;
const NOTHING = new Uint8Array();
const text = (data: Uint8Array): string => new TextDecoder().decode(data);
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const storedEvent = (subject: string): string => subject.replace('ksi.ingest.events.', 'ksi.events.');

type ReadQuery = { last_by_subj: string } | { seq: number; next_by_subj?: string };

/** A broker: KSI's streams, the consumers of its work queues, plain subscriptions, and schedules. It can be killed. */
export class SimServer {
  readonly streams = {
    commands: new SimStream(STREAM.commands, [SUBJECT.commandsAll]),
    schedules: new SimStream(STREAM.schedules, [SUBJECT.schedulesAll, SUBJECT.dueAll]),
    events: new SimStream(STREAM.events, [SUBJECT.ingestAll], storedEvent),
    dead: new SimStream(STREAM.dead, [SUBJECT.deadAll]),
    ended: new SimStream(STREAM.ended, [SUBJECT.endedAll]),
    transcripts: new SimStream(STREAM.transcripts, ['ksi.transcripts.>']),
    workspaces: new SimStream(`KV_${BUCKET.workspaces}`, [SUBJECT.places('*')]),
  };
  readonly links = new Set<Link>();
  /** When a delivery left, by its message's sequence and its count. */
  readonly sentAt = new Map<string, number>();
  /** Runs that a nak which was long on its way gave back while another delivery of them was alive: nothing can be done about it. */
  readonly hastened = new Set<number>();
  readonly #scheduler: Scheduler;
  readonly #consumers = new Map<string, SimConsumer>();
  readonly #batches = new Map<string, Incoming[]>();
  readonly #watch: ServerWatch;
  #up = true;

  constructor(scheduler: Scheduler, leaseMs: number, watch: ServerWatch) {
    this.#scheduler = scheduler;
    this.#watch = watch;
    for (const runPriority of RUN_PRIORITIES)
      this.#consumer(
        CONSUMER.run(QUEUE, runPriority),
        this.streams.commands,
        SUBJECT.priorityRuns(QUEUE, runPriority),
        leaseMs,
      );
    this.#consumer(CONSUMER.due, this.streams.schedules, SUBJECT.dueAll, leaseMs);
  }

  get up(): boolean {
    return this.#up;
  }

  stream(name: string): SimStream {
    const stream = Object.values(this.streams).find((candidate) => candidate.name === name);
    if (stream === undefined) throw new Error(`the world has no stream ${name}`);
    return stream;
  }

  /** As by SIGKILL, back after `downMs`. What streams have stored stays; of deliveries the last `forgetMs` are forgotten. */
  kill(downMs: number, forgetMs: number): void {
    if (!this.#up) return;
    this.#up = false;
    this.#batches.clear();
    for (const consumer of this.#consumers.values()) consumer.forget(forgetMs);
    for (const link of this.links) link.lose();
    this.#scheduler.after(downMs, () => {
      this.#up = true;
      for (const consumer of this.#consumers.values()) consumer.dispatch();
      for (const { seq } of this.streams.schedules.messages) this.#arm(seq);
    });
  }

  onRequest(by: SimProcess): void {
    this.#watch.onRequest(by);
  }

  /** What came over a connection. */
  receive(link: Link, published: Published): void {
    const { subject, data, reply } = published;
    if (subject.startsWith(ACK)) {
      this.#acknowledge(subject, text(data));
      if (reply !== undefined) this.#send(reply, { subject: reply, data: NOTHING });
    } else if (subject.startsWith(PULL)) this.#pull(link, published);
    else if (subject.startsWith(GET)) {
      const answer = this.#read(subject.slice(GET.length), JSON.parse(text(data)) as ReadQuery);
      if (reply !== undefined) this.#send(reply, { subject: reply, data: bytes(answer) });
    } else {
      const stream = Object.values(this.streams).find((candidate) => candidate.takes(subject));
      if (stream !== undefined) this.#store(stream, published, link.process);
      else if (!this.#send(subject, published) && reply !== undefined)
        this.#send(reply, { subject: reply, data: NOTHING, header: newHeaders(NO_RESPONDERS, 'No Responders') });
    }
  }

  #read(name: string, query: ReadQuery): object {
    const stream = this.stream(name);
    const found =
      'last_by_subj' in query
        ? stream.last(query.last_by_subj)
        : query.next_by_subj === undefined
          ? stream.get(query.seq)
          : stream.next(query.next_by_subj, query.seq);
    if (found === undefined) return { error: { code: 404, err_code: NO_MESSAGE, description: 'no message found' } };
    const { seq, subject, data, header, at } = found;
    const hdrs = Buffer.from((header as MsgHdrsImpl).encode()).toString('base64');
    return {
      message: { seq, subject, data: Buffer.from(data).toString('base64'), hdrs, time: new Date(at).toISOString() },
    };
  }

  #store(stream: SimStream, { subject, data, header = newHeaders(), reply }: Published, by?: SimProcess): void {
    const incoming = { subject, data, header };
    const batchId = header.get(HEADER.batchId);
    const batch = batchId === '' ? [] : (this.#batches.get(batchId) ?? []);
    batch.push(incoming);
    if (batchId !== '' && header.get(HEADER.batchCommit) === '') {
      this.#batches.set(batchId, batch);
      return;
    }
    this.#batches.delete(batchId);
    // Its beginning was lost with a connection.
    if (batchId !== '' && batch.length !== Number(header.get(HEADER.batchSeq))) return;
    const { verdict, stored } = stream.store(batch, this.#scheduler.now);
    for (const message of stored) this.#stored(stream, message, by);
    const answer = 'fault' in verdict ? { error: verdict.fault } : { stream: stream.name, ...verdict };
    if (reply !== undefined) this.#send(reply, { subject: reply, data: bytes(answer) });
    for (const consumer of this.#consumers.values()) consumer.dispatch();
  }

  #stored(stream: SimStream, message: SimMessage, by: SimProcess | undefined): void {
    this.#watch.stored(stream.name, message, by);
    if (stream === this.streams.events) this.#send(message.subject, message);
    if (stream !== this.streams.schedules || message.header.get(HEADER.schedule) === '') return;
    // The later one replaces it.
    const earlier = stream.messages.filter(({ seq, subject }) => subject === message.subject && seq < message.seq);
    for (const { seq } of earlier) stream.delete(seq);
    this.#arm(message.seq);
  }

  #arm(seq: number): void {
    const rule = this.streams.schedules.get(seq)?.header.get(HEADER.schedule) ?? '';
    if (rule === '') return;
    const at = Date.parse(rule.slice('@at '.length)) - EPOCH;
    this.#scheduler.after(at - this.#scheduler.now, () => this.#fire(seq));
  }

  #fire(seq: number): void {
    const schedule = this.streams.schedules.get(seq);
    if (!this.#up || schedule === undefined) return;
    this.streams.schedules.delete(seq);
    const subject = schedule.header.get(HEADER.scheduleTarget);
    this.#store(this.streams.schedules, { subject, data: schedule.data, header: newHeaders(), reply: undefined });
  }

  #pull(link: Link, { subject, data, reply = '' }: Published): void {
    const name = subject.slice(PULL.length);
    const consumer = this.#consumers.get(name);
    if (consumer === undefined) throw new Error(`the world has no consumer ${name}`);
    const { no_wait = false, expires = 0 } = JSON.parse(text(data)) as { no_wait?: boolean; expires?: number };
    const open = link.opened();
    consumer.pull({
      noWait: no_wait,
      until: this.#scheduler.now + expires / NS_PER_MS,
      open,
      status: (code) => this.#send(reply, { subject: reply, data: NOTHING, header: newHeaders(code, 'status') }),
      deliver: (message, count) => {
        this.sentAt.set(`${message.seq}.${count}`, this.#scheduler.now);
        this.#send(reply, { ...message, reply: `${ACK}${name}.${count}.${message.seq}.${message.seq}.0.0` });
      },
    });
  }

  #acknowledge(subject: string, body: string): void {
    const [stream, name, count, seq] = subject.slice(ACK.length).split('.');
    const consumer = this.#consumers.get(`${stream}.${name}`);
    if (consumer === undefined) throw new Error(`the world has no consumer ${name}`);
    if (body === '+ACK') consumer.ack(Number(seq));
    else if (body === '+WPI') consumer.renew(Number(seq));
    else if (body.startsWith('-NAK')) {
      if (consumer.nak(Number(seq), Number(count), delayOf(body))) this.hastened.add(Number(seq));
    } else throw new Error(`the world knows no ${body}`);
    consumer.dispatch();
  }

  /** @returns whether anybody listens. */
  #send(to: string, message: Omit<Published, 'header' | 'reply'> & Partial<Published>): boolean {
    let received = false;
    for (const link of this.links) if (link.deliver(to, message)) received = true;
    return received;
  }

  #consumer(name: string, stream: SimStream, filter: string, ackWaitMs: number): void {
    this.#consumers.set(`${stream.name}.${name}`, new SimConsumer(name, stream, filter, ackWaitMs, this.#scheduler));
  }
}

function delayOf(nak: string): number {
  const options = nak.slice('-NAK'.length).trim();
  return options === '' ? 0 : (JSON.parse(options) as { delay: number }).delay / NS_PER_MS;
}
