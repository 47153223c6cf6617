const KEPT_BYTES = 16_384;
/** The longest secret of which no part is shown although its beginning is no longer kept. */
const MARGIN_BYTES = 16_384;

/** The end of a stream, bounded: what a process said last tells most about how it ended. */
export class Tail {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Earlier bytes are gone. */
  #isCut = false;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    // Compacted only now and then: each byte is copied a few times at the most.
    if (this.#bytes > 2 * (KEPT_BYTES + MARGIN_BYTES)) this.#compact();
  }

  /** @param redact removes secrets. A secret whose beginning is gone cannot be found, so the margin that holds its rest is left out. */
  text(redact = (text: string): string => text): string {
    this.#compact();
    const redacted = Buffer.from(redact(Buffer.concat(this.#chunks).toString()));
    return redacted
      .subarray(this.#isCut ? MARGIN_BYTES : 0)
      .subarray(-KEPT_BYTES)
      .toString()
      .trim();
  }

  #compact(): void {
    const all = Buffer.concat(this.#chunks);
    const kept = all.subarray(-(KEPT_BYTES + MARGIN_BYTES));
    this.#isCut ||= kept.length < all.length;
    // A copy, since a slice would keep the whole alive.
    this.#chunks = kept.length === 0 ? [] : [Buffer.from(kept)];
    this.#bytes = kept.length;
  }
}
