import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;
const FIRST_FURTHER = 3;

/** The descriptors above 2 that a child gets. */
export interface FurtherDescriptors {
  /** The entries of `spawn`'s `stdio` from descriptor 3 on. */
  readonly stdio: readonly ('ignore' | number)[];
  /** Placeholders, which the child can close. */
  readonly empty: readonly number[];
  /** Call it after the spawn. */
  close(): void;
}

/**
 * Keeps this process's descriptors from its children: LMDB opens its data files without O_CLOEXEC, and a child could write the journal. Node
 * cannot close them in a child, so they are replaced by /dev/null. Linux only: other systems do not list descriptors.
 * @param third the child's descriptor 3.
 */
export function furtherDescriptors(third?: number): FurtherDescriptors {
  const given = third === undefined ? [] : [third];
  const empty = inheritable().filter((fd) => fd >= FIRST_FURTHER + given.length);
  if (empty.length === 0) return { stdio: given, empty, close: () => undefined };
  const nothing = openSync('/dev/null', 'r');
  const length = Math.max(...empty) + 1 - FIRST_FURTHER;
  const stdio = Array.from(
    { length },
    (_, index) => given[index] ?? (empty.includes(index + FIRST_FURTHER) ? nothing : 'ignore'),
  );
  return { stdio, empty, close: () => closeSync(nothing) };
}

function inheritable(): number[] {
  try {
    return readdirSync('/proc/self/fd')
      .map(Number)
      .filter((fd) => fd >= FIRST_FURTHER && isInherited(fd));
  } catch {
    return [];
  }
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags !== undefined && (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    return false; // The descriptor of the listed folder itself, which is closed now.
  }
}
