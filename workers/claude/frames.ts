import { isRecord } from '../../src/json.js';

/** Names of the frames that the SDK reads without a check. */
const UNCHECKED = ['control_request', 'control_response', 'transcript_mirror', '"result"'];

/**
 * A line that the SDK can read. It ends the run, or throws where nobody catches it, at a control frame or a mirrored transcript that is not
 * shaped as it expects, even when a good result follows.
 * @returns an empty line in place of one that it cannot read.
 */
export function readable(line: Buffer): Buffer {
  if (!UNCHECKED.some((name) => line.includes(name))) return line;
  let frame: unknown;
  try {
    frame = JSON.parse(line.toString());
  } catch {
    return line; // The SDK leaves out what is not JSON.
  }
  if (!isRecord(frame)) return line;
  if (frame['type'] !== 'result') return wellFormed(frame) ? line : Buffer.alloc(0);
  const { errors } = frame;
  if (frame['is_error'] !== true || (Array.isArray(errors) && errors.every(isText))) return line;
  const texts: unknown[] = Array.isArray(errors) ? errors.filter(isText) : [];
  return Buffer.from(`${JSON.stringify({ ...frame, errors: texts })}\n`);
}

const isText = (value: unknown): boolean => typeof value === 'string';

function wellFormed({ type, ...frame }: Record<string, unknown>): boolean {
  if (type === 'control_request')
    return isText(frame['request_id']) && isRecord(frame['request']) && isText(frame['request']['subtype']);
  if (type === 'control_response') return isRecord(frame['response']);
  if (type === 'transcript_mirror') return isText(frame['filePath']) && Array.isArray(frame['entries']);
  return true;
}
