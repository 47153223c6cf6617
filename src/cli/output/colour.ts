import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Coloured for a terminal; plain off it, and with NO_COLOR. */
export const paint = (format: Format, text: string, stream: NodeJS.WriteStream): string =>
  stream.isTTY ? styleText(format, text, { stream }) : text;
