const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** @returns undefined if the bytes are not UTF-8 */
export function textOf(data: Uint8Array): string | undefined {
  try {
    return UTF8.decode(data);
  } catch {
    return undefined;
  }
}

/** Parses JSON. @returns undefined if the text is not JSON: every schema refuses undefined */
export function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Parses the JSON of a message. @returns undefined if the bytes are not UTF-8 or not JSON */
export function parseJson(data: Uint8Array): unknown {
  const text = textOf(data);
  return text === undefined ? undefined : parseText(text);
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
