/** What steers a terminal, or turns around the order in which it shows text (Unicode TR 9): none of it is there to be read. */
const STEERING = /[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;
/** All that takes no place where it stands. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115F\u1160\u3164\uFFA0]/gu;

const isLayout = (sign: string): boolean => sign === '\n' || sign === '\t';

/** What a terminal may be given: nothing that would steer it, but lines and tabs. */
export const printable = (text: string): string => text.replace(STEERING, (sign) => (isLayout(sign) ? sign : ''));

/** With what is hidden in it written out (`\u202e`), for one who decides on it: what looks like another text is not it. */
export const revealed = (text: string): string =>
  text.replace(HIDDEN, (sign) => (isLayout(sign) ? sign : sign.split('').map(codeOf).join('')));

const codeOf = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** `text` as it may be written to `stream`: off a terminal as it is. */
export const shownOn = (stream: NodeJS.WriteStream, text: string): string => (stream.isTTY ? printable(text) : text);

/** A value for stdout, as JSON on a line; what would steer a terminal is escaped there, which is the same JSON. */
export function jsonLine(value: unknown): string {
  const json = JSON.stringify(value);
  return `${process.stdout.isTTY ? revealed(json) : json}\n`;
}
