/** A place in the event stream: `incarnation` tells a stream from one that was made anew under its name. */
export interface Position {
  readonly incarnation: string;
  readonly seq: number;
  /** Of the event at `seq`, if it is known: a stream that was restored from a backup keeps its incarnation, and gives later sequences to other events. */
  readonly eventId?: string | undefined;
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

/** How often the stream is asked before a cursor is refused. */
const LOOKS = 3;
const LOOK_PAUSE_MS = 200;

/**
 * Decodes a cursor that may be ahead of `known`. A leader that has just been elected, or does not know yet that it was deposed, may answer with
 * an older position, so a single answer does not prove that a cursor is gone.
 * @param look asks the stream for its present position.
 */
export async function settledSequence(
  cursor: string,
  known: Position,
  look: () => Promise<Position>,
): Promise<number | CursorFault> {
  let seq = decodeCursor(cursor, known);
  for (let looks = 0; seq === 'cursor_gone' && looks < LOOKS; looks++) {
    if (looks > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSE_MS));
    seq = decodeCursor(cursor, await look());
  }
  return seq;
}
