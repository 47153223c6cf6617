import type { FileEntry } from '../../../contracts/sessions/files.js';

const BLOCK = 512;
/** The end of an archive. */
export const TAR_END = new Uint8Array(2 * BLOCK);

const TYPES = { file: '0', link: '2', folder: '5' } as const;
/** ASCII only: other names, and longer ones, stand in an extended header. */
const PLAIN = /^[\u0020-\u007e]{1,100}$/;

/** The header of an entry of a tar archive (POSIX pax). Its contents follow, then `paddingOf` them. `other` entries have none. */
export function tarHeader(entry: FileEntry): Uint8Array {
  if (entry.type === 'other') return new Uint8Array();
  const name = entry.type === 'folder' ? `${entry.path}/` : entry.path;
  const records = [
    ...(PLAIN.test(name) ? [] : [record('path', name)]),
    ...(entry.target === undefined || PLAIN.test(entry.target) ? [] : [record('linkpath', entry.target)]),
  ];
  const seconds = Math.max(0, Math.floor(Date.parse(entry.modified_at) / 1_000));
  const own = header({ ...entry, name, type: TYPES[entry.type], seconds, target: entry.target ?? '' });
  if (records.length === 0) return own;
  const extended = Buffer.from(records.join(''));
  const before = header({ name: 'PaxHeader', type: 'x', bytes: extended.length, mode: 0o644, seconds, target: '' });
  return Buffer.concat([before, extended, paddingOf(extended.length), own]);
}

export const paddingOf = (bytes: number): Uint8Array => new Uint8Array((BLOCK - (bytes % BLOCK)) % BLOCK);

interface Header {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  readonly mode: number;
  readonly seconds: number;
  readonly target: string;
}

function header({ name, type, bytes, mode, seconds, target }: Header): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, digits: number): number =>
    block.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1');
  block.write(name, 0, 100);
  octal(mode & 0o777, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(bytes, 124, 11);
  octal(seconds, 136, 11);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(target, 157, 100);
  block.write('ustar\u000000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A record of an extended header. Its length includes the digits of the length. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  length = bytes + String(length).length;
  return `${length}${rest}`;
}
