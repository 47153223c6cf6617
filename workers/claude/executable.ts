import { access, constants, open, stat, type FileHandle } from 'node:fs/promises';
import { shortageOf } from './shortage-of.js';
import type { ClaudeEnding } from './ending.js';

const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const SHEBANG = '#!';
/** The kernel reads this much of a script's first line. */
const MAX_SHEBANG = 256;
const PROGRAM_INTERPRETER = 3;
const PROGRAM_LOAD = 1;

/** Why a file cannot be run as a program. */
class NoProgram extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Checks the file of a program before a run. The kernel's own error would be lost in the programs that contain the run, and a shell would
 * try to run a broken file as a script.
 * @returns undefined: no fault was found.
 */
export async function executableFault(
  path: string,
): Promise<Pick<ClaudeEnding, 'spawnError' | 'shortage'> | undefined> {
  try {
    if ((await stat(path)).isDirectory()) throw new NoProgram('EISDIR', 'it is a folder');
    // A script is run by node and need not be executable itself.
    if (/\.[cm]?[jt]sx?$/.test(path)) await access(path, constants.R_OK);
    else await checkProgram(path);
    return undefined;
  } catch (error) {
    const shortage = shortageOf(error);
    if (shortage !== undefined) return { shortage };
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { spawnError: { code, message, path } };
  }
}

async function checkProgram(path: string): Promise<void> {
  await access(path, constants.X_OK);
  // A program that can be run but not read is left to the kernel.
  if (
    !(await access(path, constants.R_OK).then(
      () => true,
      () => false,
    ))
  )
    return;
  const file = await open(path, 'r');
  try {
    const start = await read(file, 0, MAX_SHEBANG);
    if (start.subarray(0, 2).toString() === SHEBANG) return await checkInterpreter(interpreterOf(start));
    if (!start.subarray(0, 4).equals(ELF))
      throw new NoProgram('ENOEXEC', 'it is neither a program nor a script with an interpreter');
    await checkElf(file, start, (await file.stat()).size);
  } finally {
    await file.close();
  }
}

const interpreterOf = (start: Buffer): string => start.toString('latin1').slice(2).trimStart().split(/\s/, 1)[0] ?? '';

async function checkInterpreter(path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) throw new NoProgram('EISDIR', 'it is a folder');
    await access(path, constants.X_OK);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new NoProgram(code, `its interpreter ${path} cannot be run: ${message}`);
  }
}

/** Checks that an ELF file is complete and that its interpreter, the dynamic linker, exists. */
async function checkElf(file: FileHandle, start: Buffer, size: number): Promise<void> {
  const broken = new NoProgram('ENOEXEC', 'the file is damaged or cut off');
  const [bits, endian] = [start[4], start[5]];
  // Another architecture than this process's is left to the kernel, which may have an emulator.
  if (bits !== 2 || endian !== 1) {
    if ((bits === 1 || bits === 2) && (endian === 1 || endian === 2) && size > 52) return;
    throw broken;
  }
  if (start.length < 64) throw broken;
  const [at, entry, count] = [Number(start.readBigUInt64LE(32)), start.readUInt16LE(54), start.readUInt16LE(56)];
  if (entry !== 56 || count === 0 || at + entry * count > size) throw broken;
  const headers = await read(file, at, entry * count);
  for (let header = headers; header.length >= entry; header = header.subarray(entry)) {
    const [offset, length] = [Number(header.readBigUInt64LE(8)), Number(header.readBigUInt64LE(32))];
    const type = header.readUInt32LE(0);
    if (type !== PROGRAM_LOAD && type !== PROGRAM_INTERPRETER) continue;
    if (offset + length > size) throw broken;
    if (type === PROGRAM_INTERPRETER)
      await checkInterpreter(
        (await read(file, offset, Math.min(length, 4_096))).toString('latin1').replace(/\0.*$/s, ''),
      );
  }
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
