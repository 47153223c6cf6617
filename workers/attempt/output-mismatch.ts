import { judge } from '../../src/output-schema/judge.js';
import type { Mismatch } from '../../src/output-schema/verdict.js';
import type { ClaudeMessage } from '../claude/ending.js';

/**
 * Where the answer of a result does not fit the schema that it was asked for. Claude checks what it answers in that form; but it may
 * answer in words alone.
 */
export async function outputMismatches(
  schema: Readonly<Record<string, unknown>> | undefined,
  result: ClaudeMessage | undefined,
): Promise<readonly Mismatch[]> {
  if (schema === undefined || result?.['subtype'] !== 'success' || result['is_error'] === true) return [];
  const value = result['structured_output'];
  if (value === undefined) return [{ path: '', message: 'Claude answered in words, and gave no structured output' }];
  const verdict = await judge({ schema, answer: { value } });
  return verdict.kind === 'fits' ? [] : verdict.mismatches;
}
