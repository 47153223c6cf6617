import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Usage } from '../../contracts/access/usage.js';
import { SUBJECT } from '../../contracts/wire/names.js';
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

  it('survives 3,000 levels of nesting at any place', () => {
    const deep = nested(3_000);
    const array = `${'['.repeat(3_000)}${']'.repeat(3_000)}`;
    return completes(
      lines(
        deep,
        array,
        ...[deep, array].flatMap((value) => [
          `{"type":${value}}`,
          `{"type":"assistant","message":${value}}`,
          `{"type":"assistant","message":{"id":"m","usage":${value},"content":${value}}}`,
          `{"type":"user","message":{"content":[${value}]}}`,
          `{"type":"stream_event","event":${value}}`,
          `{"type":"stream_event","event":{"type":"content_block_delta","delta":${value}}}`,
          `{"type":"stream_event","event":{"type":"message_start","message":{"id":"m","usage":${value}}}}`,
          `{"type":"result","subtype":"success","modelUsage":${value},"usage":${value},"total_cost_usd":${value},"structured_output":${value}}`,
          `{"type":"system","subtype":"init","tools":${value},"mcp_servers":${value}}`,
          `{"type":"rate_limit_event","rate_limit_info":${value}}`,
          `{"type":"transcript_mirror","filePath":"/x","entries":${value}}`,
          `{"type":"transcript_mirror","filePath":"/x","entries":[${value}]}`,
          `{"type":"control_request","request_id":"r","request":${value}}`,
          `{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool","tool_name":"Bash","input":${value}}}`,
        ]),
      ),
    );
  });

  it('survives absurd requests of Claude, and mirrored entries that are no objects', () => {
    const absurd = ['null', '1e999', '-1', '"x"', '[]', '[null]', '{}', '{"a":null}', 'true', '""'];
    return completes(
      lines(
        ...absurd.flatMap((value) => [
          `{"type":"control_request","request_id":${value},"request":{"subtype":"can_use_tool"}}`,
          `{"type":"control_request","request_id":"r","request":${value}}`,
          `{"type":"control_request","request_id":"r","request":{"subtype":${value}}}`,
          `{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool","tool_name":${value},"input":${value},"permission_suggestions":${value}}}`,
          `{"type":"control_request","request_id":"r","request":{"subtype":"hook_callback","callback_id":${value},"input":${value}}}`,
          `{"type":"control_request","request_id":"r","request":{"subtype":"mcp_message","server_name":${value},"message":${value}}}`,
          `{"type":"control_cancel_request","request_id":${value}}`,
          `{"type":"control_response","response":${value}}`,
          `{"type":"control_response","response":{"subtype":${value},"request_id":${value},"response":${value}}}`,
          `{"type":"keep_alive","a":${value}}`,
          `{"type":"transcript_mirror","filePath":${value},"entries":[{"type":"user","uuid":"u"}]}`,
          `{"type":"transcript_mirror","filePath":"/x","entries":${value}}`,
          `{"type":"transcript_mirror","filePath":"/x","entries":[${value}]}`,
          `{"type":"transcript_mirror","filePath":"/x","entries":[{"type":${value}},{"type":"cost-state","totalCostUSD":${value},"sessionId":${value}}]}`,
          `{"type":"assistant","message":{"id":${value},"model":${value},"usage":${value}}}`,
          `{"type":"assistant","parent_tool_use_id":${value},"message":{"id":"m","usage":{"input_tokens":${value},"output_tokens":null}}}`,
          `{"type":"stream_event","session_id":${value},"event":{"type":"message_delta","usage":{"output_tokens":${value}}}}`,
          `{"type":"result","subtype":"success","modelUsage":{"m":{"costUSD":${value},"inputTokens":${value},"webSearchRequests":${value}}},"total_cost_usd":0}`,
        ]),
      ),
    );
  });

  it('is not needed to know what a cancelled attempt took', async () => {
    const usage = { input_tokens: 7, output_tokens: 1, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 };
    const message = { id: 'm1', model: 'priced', usage };
    const counted = { inputTokens: 10, outputTokens: 2, costUSD: 0.00002 };
    const said = lines(
      JSON.stringify({
        type: 'result',
        subtype: 'success',
        num_turns: 1,
        total_cost_usd: 0.00002,
        modelUsage: { priced: counted },
      }),
      JSON.stringify({ type: 'stream_event', event: { type: 'message_start', message } }),
      JSON.stringify({ type: 'assistant', message: { ...message, content: [{ type: 'text', text: 'begun' }] } }),
      JSON.stringify({ type: 'assistant', message: { ...message, content: [{ type: 'text', text: 'repeated' }] } }),
      JSON.stringify({ type: 'stream_event', event: { type: 'message_delta', usage: { output_tokens: 40 } } }),
      JSON.stringify({ type: 'system', subtype: 'said_all' }),
    );
    const { taskId } = await lab.post(`[[ignore-sigterm]]${said}[[hang]]`, {});
    const last = await lab.until(() => lab.of(taskId).find((event) => JSON.stringify(event.data).includes('said_all')));
    // What is left of it when the worker dies now.
    assert.equal((last.data as { usage?: Usage }).usage?.output_tokens, 42);
    const start = lab.of(taskId).find(({ type }) => type === 'SPAWN_START');
    assert.ok(start !== undefined);
    const { process = '' } = dataOf('SPAWN_START', start);
    await lab.broker.nc.request(SUBJECT.control(process, taskId, 'cancel'), '{}', { timeout: 10_000 });
    assert.deepEqual(dataOf('SPAWN_CANCELLED', await lab.outcome(taskId)).usage, {
      // Input costs a millionth of a dollar, by Claude's own figures; see ModelPrices.
      cost_usd: 0.00023125,
      input_tokens: 17,
      output_tokens: 42,
      cache_read_tokens: 5,
      cache_write_tokens: 3,
      turns: 1,
      estimated: true,
    });
  });

  it('is not held up by an executable that closes its stdout and lives on', () => completes('[[close-stdout]]'));

  it('survives any JSON at any place', async () => {
    const type = fc.constantFrom(
      'assistant',
      'user',
      'system',
      'result',
      'stream_event',
      'rate_limit_event',
      'new',
      'control_request',
      'control_response',
      'control_cancel_request',
      'transcript_mirror',
      'keep_alive',
    );
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
      'request_id',
      'request',
      'response',
      'filePath',
      'entries',
    );
    const message = fc
      .tuple(type, fc.dictionary(field, fc.jsonValue(), { maxKeys: 4 }))
      .map(([kind, fields]) => JSON.stringify({ ...fields, type: kind }));
    const any = fc.oneof(message, fc.json());
    const sampled = fc.sample(fc.array(any, { minLength: 10, maxLength: 40 }), { seed: 16, numRuns: 12 });
    for (const each of sampled) await completes(lines(...each));
  });
});
