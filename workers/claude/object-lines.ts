const NEWLINE = 0x0a;
const BRACE = 0x7b;
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0d;

/**
 * Lets only lines through that begin like a JSON object. The SDK ends the whole run at a line such as `null`, even when a good result
 * follows. Looks at the first byte of each line alone, so that large lines cost nothing.
 */
export class ObjectLines {
  #state: 'start' | 'pass' | 'drop' = 'start';

  filter(chunk: Buffer): Buffer {
    const kept: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'start') {
        while (at < chunk.length && isBlank(chunk[at] ?? 0)) at += 1;
        if (at === chunk.length) break;
        this.#state = chunk[at] === BRACE ? 'pass' : 'drop';
      }
      const newline = chunk.indexOf(NEWLINE, at);
      const end = newline === -1 ? chunk.length : newline + 1;
      if (this.#state === 'pass') kept.push(chunk.subarray(at, end));
      if (newline !== -1) this.#state = 'start';
      at = end;
    }
    const [only] = kept;
    return kept.length === 1 && only !== undefined ? only : Buffer.concat(kept);
  }
}
