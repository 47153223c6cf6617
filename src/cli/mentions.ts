import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Attachment } from '../../contracts/tasks/attachment.js';
import { attachmentOf } from './attachments.js';

/** A file that a text speaks of as `@path`. */
interface Mention {
  /** As it stands there. */
  readonly path: string;
  readonly file: string;
}

export interface Mentioned {
  /** Without the signs that keep an `@` from being one: `@@name` and `\@name` are `@name`. */
  readonly text: string;
  readonly mentions: readonly Mention[];
  /** Paths that look like files but name none. */
  readonly missing: readonly string[];
}

/** At the start of a word: an escaped `@`, or one and a path, quoted or up to the next space. */
const WORD = /(?<=^|[\s([{"'])(?:(?:\\@|@@)|@(?:"([^"\n]+)"|(\S+)))/g;
/** A path with an extension. `@scope/name@1.2.3` is a package, and a word without an extension may be a name. */
const LOOKS_LIKE_FILE = /^[^@]*[^@/.][.][A-Za-z]\w{0,7}$/;
/** What ends a sentence or a bracket, and so is perhaps no part of a path. */
const CLOSING = /[.,;:!?)\]}'"…]+$/;

/**
 * The files that a text mentions. Only the name of a file that is there counts: an address or a package (`@scope/name`) stays what it is, as
 * does a folder. @param isFile whether there is such a file.
 */
export function findMentions(text: string, cwd: string, isFile: (path: string) => boolean = isRegularFile): Mentioned {
  const mentions = new Map<string, Mention>();
  const missing = new Set<string>();
  const plain = text.replace(WORD, (whole: string, quoted?: string, word?: string) => {
    if (quoted === undefined && word === undefined) return '@';
    for (const path of quoted === undefined ? [word ?? '', (word ?? '').replace(CLOSING, '')] : [quoted]) {
      const file = path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(cwd, path);
      if (path === '' || !isFile(file)) continue;
      mentions.set(file, { path, file });
      return whole;
    }
    const path = quoted ?? (word ?? '').replace(CLOSING, '');
    if (LOOKS_LIKE_FILE.test(path)) missing.add(path);
    return whole;
  });
  return { text: plain, mentions: [...mentions.values()], missing: [...missing] };
}

/** Reads them. @throws as attachmentOf does. */
export const attachmentsOf = (mentions: readonly Mention[]): Attachment[] =>
  mentions.map(({ file, path }) => attachmentOf(file, path));

/** The warning for mentions of files that do not exist. */
export const describeMissing = (paths: readonly string[]): string =>
  `no such file: ${paths.join(', ')}. The prompt is sent without ${paths.length === 1 ? 'it' : 'them'}. Write @@ for a plain @.`;

/** What is told of them: `plan.md (2.1 KB)`. */
export const describeAttached = (attachments: readonly Attachment[]): string =>
  attachments.map(({ name, data }) => `${name} (${sizeOf(Buffer.byteLength(data, 'base64'))})`).join(', ');

const sizeOf = (bytes: number): string =>
  bytes < 1_024
    ? `${Math.round(bytes)} B`
    : bytes < 1_048_576
      ? `${(bytes / 1_024).toFixed(1)} KB`
      : `${(bytes / 1_048_576).toFixed(1)} MB`;

function isRegularFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    return false; // Its name is too long, or its folder is closed to us.
  }
}
