import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import type { Redaction } from './redaction.js';

/** In a large text, longer strings and longer objects and arrays below SHAPE_LEVELS are taken out. */
const LARGE_VALUE_BYTES = 65_536;
/** Up to this level only objects and arrays of more than LARGE_BODY_BYTES are taken out: a message, its content, a transcript's entries. */
const SHAPE_LEVELS = 2;
/** Objects and arrays below this level are not examined individually, so that deep nesting takes no memory. */
const DEEPEST = 200;
/** How much of a text is scanned in one turn of the event loop. */
const SLICE_BYTES = 1_048_576;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;
const END_BRACE = 0x7d;
const BRACKET = 0x5b;
const END_BRACKET = 0x5d;

type Range = readonly [from: number, to: number];

/**
 * Takes large values out of JSON texts and keeps them as bytes. A short string, the token, replaces each value. Parsing 240 MB of small
 * objects takes 5 GB and many seconds in which no lease is renewed.
 */
export class LargeValues {
  /** The prefix of every token. It is random, so no text contains it by chance or on purpose. */
  readonly #mark = `ksi-large-${randomUUID()}`;
  readonly #token = new RegExp(`"${this.#mark}:(\\d+)"`, 'g');
  readonly #values: (readonly Buffer[])[] = [];
  readonly #others: LargeValues[] = [];

  /** Lets `restore` also put back the values that `other` has taken out. */
  include(other: LargeValues): void {
    this.#others.push(other);
  }

  /** Takes the large values out of a JSON text. A text of LARGE_BODY_BYTES or less is returned whole. Scans in slices, so that other work goes on. */
  async condense(json: readonly Buffer[]): Promise<Buffer> {
    if (lengthOf(json) <= LARGE_BODY_BYTES) return Buffer.concat(json);
    const kept: Buffer[] = [];
    const cuts = new Cuts(json);
    for (const [from, to] of await largeRanges(json)) {
      kept.push(...cuts.upTo(from), Buffer.from(`"${this.#mark}:${this.#values.length}"`));
      this.#values.push(cuts.upTo(to));
    }
    return Buffer.concat([...kept, ...cuts.upTo(Infinity)]);
  }

  /** How many bytes `restore` adds to `json`. */
  added(json: string): number {
    const own = this.#tokens(json).reduce(
      (sum, { 0: token, 1: n }) => sum + lengthOf(this.#value(n)) - token.length,
      0,
    );
    return this.#others.reduce((sum, other) => sum + other.added(json), own);
  }

  /** Replaces tokens within longer texts, such as an error's message, by a readable name. `restore` cannot restore them there. */
  named(json: string): string {
    const own = json.includes(this.#mark)
      ? json.replaceAll(
          new RegExp(`("?)${this.#mark}:(\\d+)("?)`, 'g'),
          (token, before: string, n: string, after: string) =>
            before !== '' && after !== '' ? token : `${before}[a text of ${lengthOf(this.#value(n))} bytes]${after}`,
        )
      : json;
    return this.#others.reduce((text, other) => other.named(text), own);
  }

  /** Whether any value was taken out. */
  get any(): boolean {
    return this.#values.length > 0 || this.#others.some((other) => other.any);
  }

  /** Puts the large values back. @param redaction removes credentials from them. @returns the JSON in pieces. */
  *restore(json: string, redaction?: Pick<Redaction, 'inPieces'>): Generator<Buffer> {
    let at = 0;
    for (const { index, 0: token, 1: n } of this.#tokens(json)) {
      yield* this.#rest(json.slice(at, index), redaction);
      yield* redaction?.inPieces(this.#value(n)) ?? this.#value(n);
      at = index + token.length;
    }
    yield* this.#rest(json.slice(at), redaction);
  }

  /** Returns the large value if the text is its token, or else the text. */
  restoreText(text: string, redaction?: Pick<Redaction, 'inPieces'>): string {
    const json = JSON.stringify(text);
    if (this.added(json) === 0) return text;
    return JSON.parse(Buffer.concat([...this.restore(json, redaction)]).toString()) as string;
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

/** Cuts a text in pieces into parts, from its beginning to its end. Each piece is looked at once, however many parts there are. */
class Cuts {
  readonly #pieces: readonly Buffer[];
  #piece = 0;
  /** Where the piece begins in the text. */
  #start = 0;
  #at = 0;

  constructor(pieces: readonly Buffer[]) {
    this.#pieces = pieces;
  }

  /** The part from the end of the last one to the position `to`. */
  upTo(to: number): Buffer[] {
    const part: Buffer[] = [];
    for (let piece = this.#pieces[this.#piece]; piece !== undefined; piece = this.#pieces[++this.#piece]) {
      const end = this.#start + piece.length;
      const cut = Math.min(to, end);
      if (cut > this.#at) part.push(piece.subarray(this.#at - this.#start, cut - this.#start));
      this.#at = Math.max(this.#at, cut);
      if (to < end) break;
      this.#start = end;
    }
    return part;
  }
}

interface Open {
  readonly from: number;
  /** The number of ranges when it began. */
  readonly ranges: number;
  /** How many of its bytes are taken out already. */
  out: number;
}

/** The ranges to take out of a JSON text, in order. For a text that is not JSON, the ranges mean nothing. */
async function largeRanges(json: readonly Buffer[]): Promise<Range[]> {
  const ranges: Range[] = [];
  const open: Open[] = [];
  let deeper = 0;
  /** The start of the string that is being read; -1: none is. */
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
