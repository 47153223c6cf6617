const KEPT_BYTES = 16_384;
/** Secrets up to this length are never shown in part, even if their beginning is no longer in the buffer. */
const MARGIN_BYTES = 16_384;

/** The last bytes of a stream: the end of a process's output says most about its end. */
export class OutputTail {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Earlier bytes were dropped. */
  #isCut = false;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    // Compacted rarely, so that each byte is copied only a few times.
    if (this.#bytes > 2 * (KEPT_BYTES + MARGIN_BYTES)) this.#compact();
  }

  /** @param redact removes secrets. It cannot find a secret whose beginning was dropped, so the margin with the rest is left out. */
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
    // A copy: a slice would keep the whole buffer in memory.
    this.#chunks = kept.length === 0 ? [] : [Buffer.from(kept)];
    this.#bytes = kept.length;
  }
}
