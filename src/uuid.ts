import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';
import { systemClock } from './clock.js';

const BYTES = 16;
/** A draw from the system takes microseconds, whatever its size, so one draw serves this many UUIDs. */
const POOLED = 256;
const pool = Buffer.alloc(POOLED * BYTES);
let used = pool.length;

/** Random bytes for one UUID. Each is used once. */
function randomBytes(): Buffer {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += BYTES;
  return pool.subarray(used - BYTES, used);
}

let ms = 0;
let seq = 0;

/** A new UUIDv7. The ids of a process ascend. */
export function uuidv7(): string {
  const now = systemClock.now();
  if (now > ms) {
    ms = now;
    seq = firstSeq();
  } else seq++;
  return uuidv7At(ms, seq);
}

/** A random sequence below half of its field's range, so that the ids of one ms cannot run out. */
export const firstSeq = (): number => randomBytes().readUInt32BE() >>> 1;

/** The UUIDv7 of a time and a sequence. */
export const uuidv7At = (msecs: number, sequence: number): string =>
  v7({ random: randomBytes(), msecs, seq: sequence });
