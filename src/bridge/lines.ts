const NEWLINE = 0x0a;

/** What all connections hold of lines that are not complete yet. */
export class LineMemory {
  readonly #most: number;
  #held = 0;

  /** @param most bytes that all may hold together. */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns false when that would be too much; then nothing is taken. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#most) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

/** A line is longer than it may be, or all clients' together are. */
export class LineTooLongError extends Error {
  override readonly name = 'LineTooLongError';
}

/** Cuts what comes over a connection into lines. A line may be megabytes in thousands of chunks: they are joined once. */
export class Lines {
  readonly #mostBytes: number;
  readonly #memory: LineMemory;
  #parts: Buffer[] = [];
  #bytes = 0;

  /** @param mostBytes of one line. */
  constructor(mostBytes: number, memory: LineMemory) {
    this.#mostBytes = mostBytes;
    this.#memory = memory;
  }

  /** @returns the lines that `chunk` completes, without their ends. @throws {LineTooLongError} */
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

  /** What came after the last complete line, which is forgotten with that. */
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
      throw new LineTooLongError('The bridge holds too many unfinished lines at the moment. Send it again later.');
    this.#bytes += part.length;
    this.#parts.push(part);
  }
}
