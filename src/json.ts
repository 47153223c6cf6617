const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** @returns undefined when the bytes are not UTF-8. */
export function textOf(data: Uint8Array): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

/** The value that a message holds; undefined when it is not JSON in UTF-8, which every check refuses. */
export function parseJson(data: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(data));
  } catch {
    return undefined;
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
