const KEPT_BYTES = 16_384;

/** The end of a stream, bounded: what a process said last tells most about how it ended. */
export class Tail {
  #chunks: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    // Compacted only now and then: each byte is copied a few times at the most.
    if (this.#bytes > 2 * KEPT_BYTES) this.#compact();
  }

  text(): string {
    this.#compact();
    return this.#chunks.join('').trim();
  }

  #compact(): void {
    const kept = Buffer.concat(this.#chunks).subarray(-KEPT_BYTES);
    // A copy, since a slice would keep the whole alive.
    this.#chunks = kept.length === 0 ? [] : [Buffer.from(kept)];
    this.#bytes = kept.length;
  }
}
