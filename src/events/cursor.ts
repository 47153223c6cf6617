/** A place in the event stream: `incarnation` tells a stream from one that was made anew under its name. */
export interface Position {
  readonly incarnation: string;
  readonly seq: number;
}

/** The incarnation of a stream made at `created` (ISO 8601). */
export const incarnationOf = (created: string): string => Date.parse(created).toString(36);

/** Opaque to clients. */
export const encodeCursor = ({ incarnation, seq }: Position): string => `${incarnation}-${seq}`;

export type CursorFault = 'invalid_cursor' | 'cursor_gone';

/**
 * The sequence that a client's cursor stands for. A bare number means the present incarnation.
 * One of another incarnation, or ahead of the stream, is gone: to go on silently would lose events.
 */
export function decodeCursor(cursor: string, now: Position): number | CursorFault {
  const match = /^(?:([0-9a-z]{1,16})-)?([0-9]{1,15})$/.exec(cursor);
  if (match === null) return 'invalid_cursor';
  const [, incarnation = now.incarnation, seq = ''] = match;
  if (incarnation !== now.incarnation || Number(seq) > now.seq) return 'cursor_gone';
  return Number(seq);
}
