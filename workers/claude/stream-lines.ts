import { LARGE_BODY_BYTES } from '../../contracts/wire/blob.js';
import { sanitizeFrame } from './frames.js';
import type { LargeValues } from './large-values.js';

const NEWLINE = 0x0a;
const BRACE = 0x7b;
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;

/** The longest message without its large values. Longer lines are dropped. */
const MAX_LEFT_BYTES = 2 * LARGE_BODY_BYTES;

/**
 * Passes on the lines that begin like a JSON object, and takes the large values out of large lines. Other lines are dropped: the SDK ends the
 * whole run at a line such as `null`, even when a good result follows.
 */
export class StreamLines {
  readonly #large: LargeValues;
  #state: 'start' | 'keep' | 'drop' = 'start';
  /** The pieces of the unfinished line. */
  #held: Buffer[] = [];

  constructor(large: LargeValues) {
    this.#large = large;
  }

  /** @returns the lines that `chunk` completes. */
  async take(chunk: Buffer): Promise<Buffer> {
    const passed: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'start') {
        while (at < chunk.length && isBlank(chunk[at] ?? 0)) at += 1;
        if (at === chunk.length) break;
        this.#state = chunk[at] === BRACE ? 'keep' : 'drop';
      }
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      if (this.#state === 'keep') this.#held.push(chunk.subarray(at, end));
      if (newline !== -1) passed.push(await this.rest());
      at = end;
    }
    return passed.length === 1 && passed[0] !== undefined ? passed[0] : Buffer.concat(passed);
  }

  /** Completes the pending line. Call it at the end of the stream: the last line may have no newline. */
  async rest(): Promise<Buffer> {
    const line = this.#held;
    this.#held = [];
    this.#state = 'start';
    const condensed = await this.#large.condense(line);
    return condensed.length > MAX_LEFT_BYTES ? Buffer.alloc(0) : sanitizeFrame(condensed);
  }
}
