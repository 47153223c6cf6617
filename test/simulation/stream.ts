import type { MsgHdrs } from '@nats-io/transport-node';
import { HEADER } from '../../contracts/wire/names.js';

export interface SimMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly header: MsgHdrs;
  /** When it was stored, in the world's ms. */
  readonly at: number;
}

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly header: MsgHdrs;
}

export type Verdict =
  { seq: number; duplicate: boolean } | { fault: { err_code: number; code: number; description: string } };

const DUPLICATE_WINDOW_MS = 120_000;
const refused = (err_code: number, description: string): Verdict => ({ fault: { err_code, code: 400, description } });

/** What is asked again and again: a simulation does little else. */
const known = new Map<string, Map<string, boolean>>();
const MAX_KNOWN = 2_000;

/** NATS' own rule: `*` is one token, a last `>` one or more. */
export function matches(filter: string, subject: string): boolean {
  if (!filter.includes('*') && !filter.endsWith('>')) return filter === subject;
  let ofFilter = known.get(filter);
  if (ofFilter === undefined) {
    if (known.size > MAX_KNOWN) known.clear();
    known.set(filter, (ofFilter = new Map()));
  }
  let answer = ofFilter.get(subject);
  if (answer === undefined) {
    if (ofFilter.size > MAX_KNOWN) ofFilter.clear();
    ofFilter.set(subject, (answer = tokensMatch(filter, subject)));
  }
  return answer;
}

function tokensMatch(filter: string, subject: string): boolean {
  const wanted = filter.split('.');
  const given = subject.split('.');
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return given.length > index;
    if (given[index] === undefined || (token !== '*' && token !== given[index])) return false;
  }
  return wanted.length === given.length;
}

/** A stream with what KSI relies on: compare-and-set over wildcards, checked before de-duplication, and atomic batches. */
export class SimStream {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly #messages: SimMessage[] = [];
  readonly #ids = new Map<string, { seq: number; at: number }>();
  readonly #stored: (subject: string) => string;
  #last = 0;

  /** @param stored the subject that one is stored as. */
  constructor(name: string, subjects: readonly string[], stored: (subject: string) => string = (subject) => subject) {
    this.name = name;
    this.subjects = subjects;
    this.#stored = stored;
  }

  get messages(): readonly SimMessage[] {
    return this.#messages;
  }

  takes(subject: string): boolean {
    return this.subjects.some((filter) => matches(filter, subject));
  }

  /** Stores all or none. The answer is the last one's. */
  store(batch: readonly Incoming[], now: number): { verdict: Verdict; stored: readonly SimMessage[] } {
    for (const { header } of batch) {
      const fault = this.#conflict(header);
      if (fault !== undefined) return { verdict: fault, stored: [] };
      const known = this.#known(header, now);
      if (known === undefined) continue;
      const verdict =
        batch.length > 1
          ? refused(10201, 'atomic publish contains duplicate message id')
          : { seq: known.seq, duplicate: true };
      return { verdict, stored: [] };
    }
    const stored = batch.map((incoming) => this.#add(incoming, now));
    return { verdict: { seq: this.#last, duplicate: false }, stored };
  }

  last(filter: string): SimMessage | undefined {
    return this.#messages.findLast(({ subject }) => matches(filter, subject));
  }

  next(filter: string, from: number): SimMessage | undefined {
    return this.#messages.find(({ seq, subject }) => seq >= from && matches(filter, subject));
  }

  get(seq: number): SimMessage | undefined {
    return this.#messages.find((message) => message.seq === seq);
  }

  /** @returns false when it was not there. */
  delete(seq: number): boolean {
    const index = this.#messages.findIndex((message) => message.seq === seq);
    if (index < 0) return false;
    this.#messages.splice(index, 1);
    return true;
  }

  #conflict(header: MsgHdrs): Verdict | undefined {
    const filter = header.get(HEADER.expectSubject);
    if (filter === '') return undefined;
    const last = this.last(filter)?.seq ?? 0;
    return last === Number(header.get(HEADER.expectSeq)) ? undefined : refused(10071, `wrong last sequence: ${last}`);
  }

  #known(header: MsgHdrs, now: number): { seq: number } | undefined {
    const known = this.#ids.get(header.get(HEADER.msgId));
    return known !== undefined && now - known.at < DUPLICATE_WINDOW_MS ? known : undefined;
  }

  #add({ subject, data, header }: Incoming, now: number): SimMessage {
    const message = { seq: ++this.#last, subject: this.#stored(subject), data, header, at: now };
    this.#messages.push(message);
    const id = header.get(HEADER.msgId);
    if (id !== '') this.#ids.set(id, { seq: message.seq, at: now });
    return message;
  }
}
