import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { validateInThread } from '../../src/output-schema/validate-in-thread.js';
import type { Mismatch } from '../../src/output-schema/validation.js';
import type { ClaudeMessage } from '../claude/ending.js';
import type { LargeValues } from '../claude/large-values.js';

/** To parse more would keep other tasks' leases from being renewed. */
const MOST_CHECKED_BYTES = 16 * 1_048_576;

/**
 * Where the answer of a result does not fit the schema that it was asked for. Claude checks what it answers in that form; but it may
 * answer in words alone.
 */
export async function outputMismatches(
  { output_schema: schema, owner }: Pick<SpawnCommand, 'output_schema' | 'owner'>,
  result: ClaudeMessage | undefined,
  large: Pick<LargeValues, 'added' | 'restore'>,
): Promise<readonly Mismatch[]> {
  if (schema === undefined || result?.['subtype'] !== 'success' || result['is_error'] === true) return [];
  const told = result['structured_output'];
  if (told === undefined) return [{ path: '', message: 'Claude answered in words, and gave no structured output' }];
  const json = JSON.stringify(told);
  const added = large.added(json);
  if (added > MOST_CHECKED_BYTES)
    return [{ path: '', message: `it has ${added} bytes, and no more than ${MOST_CHECKED_BYTES} can be checked` }];
  const value: unknown = added === 0 ? told : JSON.parse(Buffer.concat([...large.restore(json)]).toString());
  const verdict = await validateInThread({ schema, answer: { value } }, owner);
  return verdict.kind === 'fits' ? [] : verdict.mismatches;
}
