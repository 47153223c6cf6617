import type { BlobRef } from '../../../contracts/wire/blob.js';
import { FORMAT_VERSION } from '../../../contracts/wire/names.js';
import type { TranscriptEntry } from '../../../contracts/sessions/sessions.js';
import { isRecord } from '../../json.js';

/** The body of a message in KSI_TRANSCRIPTS. */
export interface TranscriptBody {
  v: number;
  entries?: TranscriptEntry[];
  /** Voids all entries after this sequence and before this message: a lost attempt wrote them. */
  rewind_to?: number;
  /** In place of the entries: a body too large for a message. */
  ref?: BlobRef;
}

export interface TranscriptMessage {
  seq: number;
  body: TranscriptBody;
}

/** The entries of a session's messages, in order, without rewound ones and without duplicate uuids. */
export function foldTranscript(messages: readonly TranscriptMessage[]): TranscriptEntry[] {
  let kept: TranscriptMessage[] = [];
  for (const message of messages) {
    const { rewind_to: to } = message.body;
    if (to === undefined) kept.push(message);
    else kept = kept.filter(({ seq }) => seq <= to);
  }
  const seen = new Set<string>();
  return kept
    .flatMap(({ body }) => body.entries ?? [])
    .filter(isRecord)
    .filter(({ uuid }) => {
      if (uuid === undefined) return true;
      if (seen.has(uuid)) return false;
      seen.add(uuid);
      return true;
    });
}

/** As `foldTranscript`, for a subagent. The rewinds in the main transcript apply to it too. */
export const foldPart = (part: readonly TranscriptMessage[], main: readonly TranscriptMessage[]): TranscriptEntry[] =>
  foldTranscript(
    [...part, ...main.filter(({ body }) => body.rewind_to !== undefined)].toSorted((a, b) => a.seq - b.seq),
  );

/** Fits into a message with the default `max_payload` (1 MiB). Larger bodies go to the object store. */
export const MAX_BODY_BYTES = 524_288;

/** Splits entries into bodies of at most `maxBytes`, in order. A single larger entry gets a body of its own. */
export function splitEntries(entries: readonly TranscriptEntry[], maxBytes: number): string[] {
  const bodies: string[] = [];
  let part: string[] = [];
  let bytes = 0;
  const close = (): void => {
    if (part.length > 0) bodies.push(`{"v":${FORMAT_VERSION},"entries":[${part.join(',')}]}`);
    part = [];
    bytes = 0;
  };
  for (const entry of entries) {
    const text = JSON.stringify(entry);
    const size = Buffer.byteLength(text) + 1;
    if (bytes + size > maxBytes) close();
    part.push(text);
    bytes += size;
  }
  close();
  return bodies;
}
