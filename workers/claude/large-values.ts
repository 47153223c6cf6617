import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LARGE_BODY_BYTES } from '../../contracts/blob.js';
import type { Redaction } from './redaction.js';

/** A string of that size, or what is nested as deeply as a block of content, is taken out of a large text. */
const LARGE_VALUE_BYTES = 65_536;
/** Nesting up to here keeps its shape: a message, its content, a transcript's entries. It is taken out only when it alone is large. */
const SHAPE_LEVELS = 2;
/** Deeper down nothing is taken out by itself. */
const DEEPEST = 200;
/** Looked at in one turn of the event loop. */
const SLICE_BYTES = 1_048_576;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const END_BRACE = 0x7d;
const BRACKET = 0x5b;
const END_BRACKET = 0x5d;

type Range = readonly [from: number, to: number];

/**
 * Large values of JSON texts, kept as the bytes that they came as, with a short string in their place. To parse 240 MB of small objects
 * takes 5 GB and many seconds in which no lease is renewed.
 */
export class LargeValues {
  /** Nobody can write it by chance or on purpose. */
  readonly #mark = `ksi-large-${randomUUID()}`;
  readonly #token = new RegExp(`"${this.#mark}:(\\d+)"`, 'g');
  readonly #values: (readonly Buffer[])[] = [];
  readonly #others: LargeValues[] = [];

  /** Restores also what `other` has taken out. */
  include(other: LargeValues): void {
    this.#others.push(other);
  }

  /** JSON, in pieces, with its large values taken out, if it is large; in slices, so that other work goes on. */
  async condense(json: readonly Buffer[]): Promise<Buffer> {
    if (lengthOf(json) <= LARGE_BODY_BYTES) return Buffer.concat(json);
    const kept: Buffer[] = [];
    let at = 0;
    for (const [from, to] of await largeRanges(json)) {
      kept.push(...between(json, at, from), Buffer.from(`"${this.#mark}:${this.#values.length}"`));
      this.#values.push(between(json, from, to));
      at = to;
    }
    return Buffer.concat([...kept, ...between(json, at, Infinity)]);
  }

  /** How many bytes `restore` adds. */
  added(json: string): number {
    const own = this.#tokens(json).reduce(
      (sum, { 0: token, 1: n }) => sum + lengthOf(this.#value(n)) - token.length,
      0,
    );
    return this.#others.reduce((sum, other) => sum + other.added(json), own);
  }

  /** JSON whose large values are back, in pieces. @param redaction of what may not be in them. */
  *restore(json: string, redaction?: Pick<Redaction, 'inPieces'>): Generator<Buffer> {
    let at = 0;
    for (const { index, 0: token, 1: n } of this.#tokens(json)) {
      yield* this.#rest(json.slice(at, index), redaction);
      yield* redaction?.inPieces(this.#value(n)) ?? this.#value(n);
      at = index + token.length;
    }
    yield* this.#rest(json.slice(at), redaction);
  }

  #tokens(json: string): RegExpExecArray[] {
    return json.includes(this.#mark) ? [...json.matchAll(this.#token)] : [];
  }

  #rest(json: string, redaction?: Pick<Redaction, 'inPieces'>): Iterable<Buffer> {
    const other = this.#others.find((each) => each.added(json) > 0);
    return other === undefined ? [Buffer.from(json)] : other.restore(json, redaction);
  }

  #value(n: string | undefined): readonly Buffer[] {
    return this.#values[Number(n)] ?? [];
  }
}

const lengthOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** What lies from one place of a text to another. */
function between(pieces: readonly Buffer[], from: number, to: number): Buffer[] {
  const found: Buffer[] = [];
  let start = 0;
  for (const piece of pieces) {
    if (start < to && start + piece.length > from) found.push(piece.subarray(Math.max(0, from - start), to - start));
    start += piece.length;
  }
  return found;
}

interface Open {
  readonly from: number;
  /** How many ranges there were when it began. */
  readonly ranges: number;
  /** Bytes of it that are taken out already. */
  out: number;
}

/** What to take out of a JSON text, in order, so that little is left. Of a text that is no JSON, anything. */
async function largeRanges(json: readonly Buffer[]): Promise<Range[]> {
  const ranges: Range[] = [];
  const open: Open[] = [];
  let deeper = 0;
  /** Where the string began that it is in; -1: in none. */
  let string = -1;
  let escaped = false;
  let start = 0;
  let turn = SLICE_BYTES;
  for (const piece of json) {
    if (start >= turn) {
      turn = start + SLICE_BYTES;
      await nextTurn();
    }
    for (let n = 0; n < piece.length; n++) {
      const byte = piece[n];
      if (string !== -1) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) {
          if (start + n + 1 - string > LARGE_VALUE_BYTES) takeOut(string, start + n + 1);
          string = -1;
        }
      } else if (byte === QUOTE) string = start + n;
      else if (byte === BRACE || byte === BRACKET) {
        if (open.length < DEEPEST) open.push({ from: start + n, ranges: ranges.length, out: 0 });
        else deeper += 1;
      } else if (byte === END_BRACE || byte === END_BRACKET) {
        if (deeper > 0) deeper -= 1;
        else close(start + n + 1);
      }
    }
    start += piece.length;
  }
  return ranges;

  function takeOut(from: number, to: number): void {
    ranges.push([from, to]);
    const around = open.at(-1);
    if (around !== undefined) around.out += to - from;
  }

  function close(to: number): void {
    const ended = open.pop();
    const around = open.at(-1);
    if (ended === undefined || around === undefined) return;
    const left = to - ended.from - ended.out;
    if (left > (open.length > SHAPE_LEVELS ? LARGE_VALUE_BYTES : LARGE_BODY_BYTES)) {
      ranges.length = ended.ranges;
      takeOut(ended.from, to);
    } else around.out += ended.out;
  }
}
