/** A position in the event stream. `incarnation` distinguishes a stream from a later one of the same name. */
export interface StreamPosition {
  readonly incarnation: string;
  readonly seq: number;
  /** The id of the event at `seq`, if known. It detects a restored backup, which keeps its incarnation but reuses sequences. */
  readonly eventId?: string | undefined;
}

/** The incarnation of a stream, from its creation time (ISO 8601). */
export const incarnationOf = (created: string): string => Date.parse(created).toString(36);

/** Opaque to clients. */
export const encodeCursor = ({ incarnation, seq }: StreamPosition): string => `${incarnation}-${seq}`;

export type CursorFault = 'invalid_cursor' | 'cursor_gone';

/**
 * Decodes a client's cursor to its sequence. A plain number means the current incarnation. A cursor of another incarnation, or ahead of the
 * stream, is `cursor_gone`: continuing silently would lose events.
 */
export function decodeCursor(cursor: string, now: StreamPosition): number | CursorFault {
  const match = /^(?:([0-9a-z]{1,16})-)?([0-9]{1,15})$/.exec(cursor);
  if (match === null) return 'invalid_cursor';
  const [, incarnation = now.incarnation, seq = ''] = match;
  if (incarnation !== now.incarnation || Number(seq) > now.seq) return 'cursor_gone';
  return Number(seq);
}

/** How often the stream is checked before a cursor is refused. */
const MAX_CHECKS = 3;
const CHECK_PAUSE_MS = 200;

/**
 * Decodes a cursor that may be ahead of `known`. A newly elected or unknowingly deposed leader may answer with an old position, so a single
 * answer does not prove that a cursor is gone.
 * @param look reads the current position of the stream.
 */
export async function settledSequence(
  cursor: string,
  known: StreamPosition,
  look: () => Promise<StreamPosition>,
): Promise<number | CursorFault> {
  let seq = decodeCursor(cursor, known);
  for (let checks = 0; seq === 'cursor_gone' && checks < MAX_CHECKS; checks++) {
    if (checks > 0) await new Promise((resolve) => setTimeout(resolve, CHECK_PAUSE_MS));
    seq = decodeCursor(cursor, await look());
  }
  return seq;
}
