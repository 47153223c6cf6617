import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { NotValidated, validateInThread } from '../../src/output-schema/validate-in-thread.js';
import type { ClaudeEnding, ClaudeMessage } from '../claude/ending.js';
import type { LargeValues } from '../claude/large-values.js';
import { shortageOf } from '../claude/shortage-of.js';

/** The check of a larger answer may exceed a thread's time or memory. */
const MAX_ENFORCED_BYTES = 16 * 1_048_576;
/** How much is copied per turn of the event loop. */
const SLICE_BYTES = 1_048_576;

/** Time limits of the tries. The answer is paid for, so a host that is busy or short of threads for a moment must not lose it. */
const TRIES_MS = [5_000, 20_000] as const;
const PAUSE_MS = 1_000;

type Checked = Pick<ClaudeEnding, 'mismatches' | 'unchecked' | 'shortage'>;

/**
 * Checks the answer in a result against the task's schema, in a thread. Claude has already checked structured output, but it may answer in
 * words alone. A large answer whose check cannot be completed is accepted: Claude's own check then counts.
 */
export async function checkOutput(
  { output_schema: schema, owner }: Pick<SpawnCommand, 'output_schema' | 'owner'>,
  result: ClaudeMessage | undefined,
  large: Pick<LargeValues, 'added' | 'restore'>,
): Promise<Checked> {
  if (schema === undefined || result?.['subtype'] !== 'success' || result['is_error'] === true) return {};
  const output = result['structured_output'];
  if (output === undefined) return mismatch('Claude answered in words, and gave no structured output');
  const json = JSON.stringify(output);
  const bytes = Buffer.byteLength(json) + large.added(json);
  const answer = await shared(large.restore(json), bytes);
  let fault: NotValidated | undefined;
  for (const maxMs of TRIES_MS) {
    if (fault !== undefined) await sleep(PAUSE_MS);
    try {
      const result = await validateInThread({ schema, answer }, owner, maxMs);
      return result.kind === 'fits' ? {} : { mismatches: result.mismatches };
    } catch (error) {
      if (!(error instanceof NotValidated)) throw error;
      fault = error;
    }
  }
  if (bytes > MAX_ENFORCED_BYTES) return {};
  const shortage = shortageOf(fault);
  return shortage === undefined ? { unchecked: fault?.message } : { shortage };
}

/** Copies the pieces to shared memory, so that the thread needs no copy of its own. Yields to other work in between. */
async function shared(pieces: Iterable<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const whole = new Uint8Array(new SharedArrayBuffer(bytes));
  let at = 0;
  let turn = SLICE_BYTES;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
    if (at < turn) continue;
    turn = at + SLICE_BYTES;
    await nextTurn();
  }
  return whole;
}

const mismatch = (message: string): Checked => ({ mismatches: [{ path: '', message }] });
