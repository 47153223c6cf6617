import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const lines = (...all: string[]): string => `[[lines:${Buffer.from(`${all.join('\n')}\n`).toString('base64')}]]`;

describe('a good result', () => {
  let lab: WorkerLab;
  before(async () => {
    lab = await WorkerLab.start();
    await lab.worker();
  });
  after(() => lab.stop());

  const completes = async (prompt: string): Promise<void> => {
    const { taskId } = await lab.post(prompt, { command: { policy: { max_attempts: 1, idle_timeout_s: 60 } } });
    assert.equal(dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).output?.['subtype'], 'success');
  };

  it('survives lines that are JSON but no message', () =>
    completes(lines('null', '[]', '1', '"x"', ' true', '{}', '{"type":null}', '{"type":7}')));

  it('survives nulls and infinite numbers where Claude counts', () =>
    completes(
      lines(
        '{"type":"result","subtype":"success","result":"x","num_turns":null,"total_cost_usd":1e999,"usage":null,"modelUsage":null}',
        '{"type":"result","subtype":"success","result":"x","num_turns":1e999,"total_cost_usd":0.1,"modelUsage":{"m":null,"n":{"inputTokens":1e999}}}',
        '{"type":"rate_limit_event","rate_limit_info":null}',
        '{"type":"stream_event","event":null}',
        '{"type":"stream_event","event":{"type":"content_block_delta","delta":null}}',
        '{"type":"system","subtype":"background_tasks_changed","tasks":[null,1]}',
        '{"type":"assistant","message":null}',
        '{"type":"user","message":{"content":[null]}}',
      ),
    ));

  it('survives 3,000 levels of nesting', () => completes(lines(`{"type":"assistant","message":${nested(3_000)}}`)));

  it('is not held up by an executable that closes its stdout and lives on', () => completes('[[close-stdout]]'));

  it('survives any JSON at any place', async () => {
    const type = fc.constantFrom('assistant', 'user', 'system', 'result', 'stream_event', 'rate_limit_event', 'new');
    const field = fc.constantFrom(
      'message',
      'event',
      'usage',
      'modelUsage',
      'num_turns',
      'total_cost_usd',
      'subtype',
      'rate_limit_info',
      'tasks',
      'session_id',
      'uuid',
      'parent_tool_use_id',
    );
    const message = fc
      .tuple(type, fc.dictionary(field, fc.jsonValue(), { maxKeys: 4 }))
      .map(([kind, fields]) => JSON.stringify({ ...fields, type: kind }));
    const any = fc.oneof(message, fc.json());
    const sampled = fc.sample(fc.array(any, { minLength: 10, maxLength: 40 }), { seed: 16, numRuns: 12 });
    for (const each of sampled) await completes(lines(...each));
  });
});
