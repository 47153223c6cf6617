const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** @returns undefined when the bytes are not UTF-8. */
export function textOf(data: Uint8Array): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

/** The value of a text; undefined when it is not JSON, which every check refuses. */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The same of the bytes that a message holds; undefined also when they are not UTF-8. */
export function parseJson(data: Uint8Array): unknown {
  const text = textOf(data);
  return text === undefined ? undefined : parseText(text);
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
