import { isUtf8 } from 'node:buffer';
import type { Fault } from '../../../contracts/wire/check.js';
import { MAX_IMAGE_CHARS, type Attachment } from '../../../contracts/tasks/attachment.js';

type Recognizer = (bytes: Buffer) => boolean;

const startsWith = (bytes: Buffer, signature: string, at = 0): boolean =>
  bytes.toString('latin1', at, at + signature.length) === signature;

/** Readers of PDF accept the header anywhere in this many bytes. */
const PDF_HEADER_WITHIN = 1024;

/** Media types whose content has a signature. All others are text. */
const SIGNATURES: Partial<Record<Attachment['media_type'], Recognizer>> = {
  'image/png': (bytes) => startsWith(bytes, '\x89PNG\r\n\x1a\n'),
  'image/jpeg': (bytes) => startsWith(bytes, '\xff\xd8\xff'),
  'image/gif': (bytes) => startsWith(bytes, 'GIF87a') || startsWith(bytes, 'GIF89a'),
  'image/webp': (bytes) => startsWith(bytes, 'RIFF') && startsWith(bytes, 'WEBP', 8),
  'application/pdf': (bytes) => bytes.subarray(0, PDF_HEADER_WITHIN).includes('%PDF-'),
};

/**
 * Faults that the schema cannot find. They must be found before the task is accepted:
 * later, only the Messages API would find them, when the session's transcript already holds the content.
 */
export function* faultsOfAttachments(attachments: readonly Attachment[] = []): Generator<Fault> {
  for (const [index, attachment] of attachments.entries()) {
    const fault = faultOf(attachment);
    if (fault !== undefined) yield { field: `attachments.${index}.${fault.field}`, message: fault.message };
  }
}

/** Many tools break base64 into lines. Claude gets it on one line. */
export const onOneLine = (attachments: readonly Attachment[] | undefined): Attachment[] | undefined =>
  attachments?.map((attachment) => ({ ...attachment, data: unwrapped(attachment.data) }));

const unwrapped = (data: string): string => data.replaceAll(/[\r\n]/g, '');

function faultOf({ media_type: type, data: wrapped }: Attachment): Fault | undefined {
  const data = unwrapped(wrapped);
  if (type.startsWith('image/') && data.length > MAX_IMAGE_CHARS)
    return { field: 'data', message: `has ${data.length} characters; an image may have at most ${MAX_IMAGE_CHARS}` };
  const bytes = Buffer.from(data, 'base64');
  if (bytes.toString('base64') !== data)
    return { field: 'data', message: 'is not canonical base64: padding is required, and unused bits must be 0' };
  const recognizes = SIGNATURES[type];
  if (recognizes !== undefined)
    return recognizes(bytes)
      ? undefined
      : { field: 'media_type', message: `does not match the content, which is not ${type}` };
  if (!isUtf8(bytes)) return { field: 'data', message: `is not UTF-8, which ${type} must be` };
  if (bytes.toString().trim() === '') return { field: 'data', message: 'contains only white space' };
  return undefined;
}
