import { setTimeout as sleep } from 'node:timers/promises';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { NotValidated, validateInThread } from '../../src/output-schema/validate-in-thread.js';
import type { ClaudeEnding, ClaudeMessage } from '../claude/ending.js';
import type { LargeValues } from '../claude/large-values.js';
import { shortageOf } from '../claude/shortage-of.js';

/** To parse more would keep other tasks' leases from being renewed. */
const MOST_CHECKED_BYTES = 16 * 1_048_576;

/** The answer is paid for: a host that is busy or short of threads for a moment must not cost it. */
const TRIES_MS = [5_000, 20_000] as const;
const PAUSE_MS = 1_000;

type Checked = Pick<ClaudeEnding, 'mismatches' | 'unchecked' | 'shortOf'>;

/** Checks the answer of a result against its schema. Claude has checked structured output already, but it may answer in words alone. */
export async function checkOutput(
  { output_schema: schema, owner }: Pick<SpawnCommand, 'output_schema' | 'owner'>,
  result: ClaudeMessage | undefined,
  large: Pick<LargeValues, 'added' | 'restore'>,
): Promise<Checked> {
  if (schema === undefined || result?.['subtype'] !== 'success' || result['is_error'] === true) return {};
  const told = result['structured_output'];
  if (told === undefined) return mismatch('Claude answered in words, and gave no structured output');
  const json = JSON.stringify(told);
  const added = large.added(json);
  if (added > MOST_CHECKED_BYTES)
    return mismatch(`it has ${added} bytes, and no more than ${MOST_CHECKED_BYTES} can be checked`);
  const value: unknown = added === 0 ? told : JSON.parse(Buffer.concat([...large.restore(json)]).toString());
  let fault: NotValidated | undefined;
  for (const maxMs of TRIES_MS) {
    if (fault !== undefined) await sleep(PAUSE_MS);
    try {
      const result = await validateInThread({ schema, answer: { value } }, owner, maxMs);
      return result.kind === 'fits' ? {} : { mismatches: result.mismatches };
    } catch (error) {
      if (!(error instanceof NotValidated)) throw error;
      fault = error;
    }
  }
  const shortOf = shortageOf(fault);
  return shortOf === undefined ? { unchecked: fault?.message } : { shortOf };
}

const mismatch = (message: string): Checked => ({ mismatches: [{ path: '', message }] });
