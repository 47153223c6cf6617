import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';

const CLOSE_ON_EXEC = 0o2000000;
const FIRST_FURTHER = 3;

/**
 * What `spawn` takes as `stdio` beyond 0, 1 and 2, so that a child gets none of this process's descriptors: LMDB opens its data files without
 * O_CLOEXEC, and a child could write the journal. Linux only; elsewhere nothing is known of descriptors. Call `close` after the spawn.
 */
export function noFurtherDescriptors(): { readonly stdio: readonly ('ignore' | number)[]; close(): void } {
  const inherited = inheritable();
  if (inherited.length === 0) return { stdio: [], close: () => undefined };
  const nothing = openSync('/dev/null', 'r');
  const length = Math.max(...inherited) + 1 - FIRST_FURTHER;
  const stdio = Array.from({ length }, (_, index) => (inherited.includes(index + FIRST_FURTHER) ? nothing : 'ignore'));
  return { stdio, close: () => closeSync(nothing) };
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
    return false; // It was the folder's own descriptor, which is closed by now.
  }
}
