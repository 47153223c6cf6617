import { isRecord } from '../../src/json.js';

/** Names of frames that the SDK does not validate. */
const UNCHECKED = ['control_request', 'control_response', 'transcript_mirror', '"result"'];

/**
 * Makes a line safe for the SDK. The SDK ends the run, or throws an uncaught error, at a malformed control frame or mirrored transcript, even
 * if a good result follows.
 * @returns an empty line instead of a malformed one.
 */
export function sanitizeFrame(line: Buffer): Buffer {
  if (!UNCHECKED.some((name) => line.includes(name))) return line;
  let frame: unknown;
  try {
    frame = JSON.parse(line.toString());
  } catch {
    return line; // The SDK skips lines that are not JSON.
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
