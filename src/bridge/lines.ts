const NEWLINE = 0x0a;

/** Limits the memory for incomplete lines of all connections together. */
export class LineMemoryLimit {
  readonly #most: number;
  #held = 0;

  /** @param most the limit, in bytes */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns false, and reserves nothing, if that would exceed the limit */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#most) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/** A line, or the incomplete lines of all clients together, exceed their limit. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
}

/** Splits a connection's input into lines. The chunks of a line are joined once, because there may be thousands. */
export class LineReader {
  readonly #mostBytes: number;
  readonly #memory: LineMemoryLimit;
  #parts: Buffer[] = [];
  #bytes = 0;

  /** @param mostBytes the limit of one line */
  constructor(mostBytes: number, memory: LineMemoryLimit) {
    this.#mostBytes = mostBytes;
    this.#memory = memory;
  }

  /** @returns the lines that `chunk` completes, without their newlines @throws {LineTooLongError} */
  push(chunk: Buffer): Buffer[] {
    const complete: Buffer[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.#keep(chunk.subarray(from, at));
      complete.push(this.rest());
      from = at + 1;
    }
    this.#keep(chunk.subarray(from));
    return complete;
  }

  /** Removes and returns the input after the last complete line. */
  rest(): Buffer {
    const [first] = this.#parts;
    const line = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#memory.give(this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    return line;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    if (this.#bytes + part.length > this.#mostBytes)
      throw new LineTooLongError(`The line is longer than ${this.#mostBytes} bytes.`);
    if (!this.#memory.take(part.length))
      throw new LineTooLongError('The bridge has too many incomplete lines in memory. Send the line again later.');
    this.#bytes += part.length;
    this.#parts.push(part);
  }
}
