/** Old clients read lines of at most 64 KiB. This leaves room for the rest of the answer. */
const MAX_BYTES = 60 * 1024;

export interface Fitting {
  readonly shown: Record<string, unknown>;
  /** Only present if entries were left out: their number. */
  readonly omitted?: number;
}

/** The entries that fit into a line of the old clients, from the first on. */
export function fitting(entries: readonly (readonly [name: string, value: unknown])[]): Fitting {
  const shown: Record<string, unknown> = {};
  let left = MAX_BYTES;
  for (const [at, [name, value]] of entries.entries()) {
    left -= Buffer.byteLength(JSON.stringify({ [name]: value }));
    if (left < 0) return { shown, omitted: entries.length - at };
    shown[name] = value;
  }
  return { shown };
}
