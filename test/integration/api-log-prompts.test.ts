import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';
import { ApiLab } from '../fixtures/api.js';

interface Line {
  readonly level: number;
  readonly task_id?: string;
  readonly prompt?: string;
}

describe('the log of an API', () => {
  /** All that an API logs while it accepts a task each way. */
  const logOf = async (env: Record<string, string>): Promise<{ lines: Line[]; ids: unknown[] }> => {
    const lines: Line[] = [];
    const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(JSON.parse(line) as Line) });
    const lab = await ApiLab.start(env, undefined, log);
    try {
      const headers = { 'content-type': 'application/json' };
      const ids = [];
      for (const key of [{}, { 'idempotency-key': 'k' }]) {
        const body = JSON.stringify({ prompt: 'canary' });
        ids.push(
          (await lab.request('/spawn', { method: 'POST', headers: { ...headers, ...key }, body })).body['task_id'],
        );
      }
      return { lines, ids };
    } finally {
      await lab.stop();
    }
  };

  it('has no prompt', async () => {
    const { lines } = await logOf({});
    assert.ok(lines.length > 0);
    assert.doesNotMatch(JSON.stringify(lines), /canary/);
  });

  it('has those of accepted tasks when it is asked for', async () => {
    const { lines, ids } = await logOf({ KSI_LOG_PROMPTS: 'yes' });
    const promptLines = lines.filter(({ prompt }) => prompt !== undefined);
    assert.deepEqual(
      promptLines.map(({ level, task_id: id, prompt }) => [level, id, prompt]),
      ids.map((id) => [pino.levels.values['info'], id, 'canary']),
    );
  });
});
