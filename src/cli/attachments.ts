import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { Attachment } from '../../contracts/tasks/attachment.js';

const MEDIA_TYPES: Readonly<Record<string, Attachment['media_type']>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.pdf': 'application/pdf',
  '.md': 'text/markdown',
  '.csv': 'text/csv',
  '.html': 'text/html',
  '.json': 'application/json',
};

/** A file as Claude is shown it. @throws when it cannot be read, is empty, or neither text nor of a known kind. */
export function attachmentOf(file: string, name: string): Attachment {
  const data = readFileSync(file);
  const known = MEDIA_TYPES[extname(file).toLowerCase()];
  if (data.length === 0) throw new Error(`${file} is empty.`);
  if (known === undefined && data.includes(0))
    throw new Error(`${file} is neither text nor one of ${Object.keys(MEDIA_TYPES).join(' ')}.`);
  return { name: name.slice(-MAX_NAME_CHARS), media_type: known ?? 'text/plain', data: data.toString('base64') };
}

/** Of an attachment's name. */
const MAX_NAME_CHARS = 256;
