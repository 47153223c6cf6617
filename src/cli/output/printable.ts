/** Characters that control a terminal or the direction of text (Unicode TR 9). */
const STEERING = /[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;
/** Invisible characters. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115F\u1160\u3164\uFFA0]/gu;

const isLayout = (sign: string): boolean => sign === '\n' || sign === '\t';

/** Removes control characters, except line breaks and tabs, so that text cannot control the terminal. */
export const printable = (text: string): string => text.replace(STEERING, (sign) => (isLayout(sign) ? sign : ''));

/** Escapes invisible characters (`\u202e`), so that text under approval cannot be disguised. */
export const revealed = (text: string): string =>
  text.replace(HIDDEN, (sign) => (isLayout(sign) ? sign : sign.split('').map(codeOf).join('')));

const codeOf = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Applies `printable` if the stream is a terminal. */
export const shownOn = (stream: NodeJS.WriteStream, text: string): string => (stream.isTTY ? printable(text) : text);

/** One line of JSON for stdout. On a terminal, invisible characters are escaped, which does not change the JSON value. */
export function jsonLine(value: unknown): string {
  const json = JSON.stringify(value);
  return `${process.stdout.isTTY ? revealed(json) : json}\n`;
}
