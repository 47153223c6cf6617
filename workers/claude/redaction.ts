/** Shorter values are not redacted: they are no secrets, and redacting them would damage ordinary text. */
const MIN_SECRET = 8;
const REDACTED = '[redacted]';

/** Returns a function that redacts the secrets in a text. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const values = secrets.filter((secret) => secret.length >= MIN_SECRET).toSorted((a, b) => b.length - a.length);
  return (text) => values.reduce((sofar, secret) => sofar.replaceAll(secret, REDACTED), text);
}

/** Values nested deeper than this become JSON text, so that events never exceed the depth that readers accept (MAX_DEPTH). */
const DEEPEST = 150;

/** Removes credentials from Claude's messages and tool results before they become events, transcripts and results. */
export class Redaction {
  #values: readonly string[] = [];
  #text: (text: string) => string = (text) => text;

  constructor(values: readonly string[]) {
    this.also(values);
  }

  also(values: readonly string[]): void {
    this.#values = [...this.#values, ...values];
    this.#text = redactor(this.#values);
  }

  /** Returns the value without credentials. Returns the same object if nothing changed. */
  in<T>(value: T): T {
    return this.#in(value, 0) as T;
  }

  /** Redacts JSON in pieces. Finds credentials in strings that have no unnecessary escapes. */
  inPieces(json: Iterable<Buffer>): Iterable<Buffer> {
    return this.#values
      .filter((value) => value.length >= MIN_SECRET)
      .reduce((sofar, value) => without(sofar, Buffer.from(JSON.stringify(value).slice(1, -1))), json);
  }

  /** The length of the text's end that could be the start of a credential. */
  openEnd(text: string): number {
    const open = this.#values.map((value) => {
      for (let length = Math.min(value.length - 1, text.length); length > 0; length--)
        if (text.endsWith(value.slice(0, length))) return length;
      return 0;
    });
    return Math.max(0, ...open);
  }

  #in(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth === DEEPEST) return this.#asText(value);
    if (Array.isArray(value)) {
      const items = value.map((item) => this.#in(item, depth + 1));
      return items.some((item, n) => item !== value[n]) ? items : value;
    }
    const fields = Object.entries(value);
    const clean = fields.map(([name, field]): [string, unknown] => [this.#text(name), this.#in(field, depth + 1)]);
    return clean.some(([name, field], n) => name !== fields[n]?.[0] || field !== fields[n]?.[1])
      ? Object.fromEntries(clean)
      : value;
  }

  #asText(value: object): string {
    try {
      // Strings are redacted before escaping, field names afterwards.
      const json = JSON.stringify(value, (_name, inner: unknown) =>
        typeof inner === 'string' ? this.#text(inner) : inner,
      );
      return this.#text(json);
    } catch (error) {
      // JSON.stringify exceeds the stack at a few thousand levels.
      if (error instanceof RangeError) return '[nested too deeply to be shown]';
      throw error;
    }
  }
}

/** @param secret may span two pieces. */
function* without(pieces: Iterable<Buffer>, secret: Buffer): Generator<Buffer> {
  let open = Buffer.alloc(0);
  for (const piece of pieces) {
    const bytes = Buffer.concat([open, piece]);
    let at = 0;
    for (let found = bytes.indexOf(secret); found !== -1; found = bytes.indexOf(secret, at)) {
      yield bytes.subarray(at, found);
      yield Buffer.from(REDACTED);
      at = found + secret.length;
    }
    const end = Math.max(at, bytes.length - secret.length + 1);
    yield bytes.subarray(at, end);
    open = bytes.subarray(end);
  }
  yield open;
}
