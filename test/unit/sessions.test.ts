import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Session, TranscriptEntry } from '../../contracts/sessions/sessions.js';
import { addUsage, NO_USAGE, type Usage, type UsageGroup } from '../../contracts/access/usage.js';
import type { TaskRow } from '../../src/store/projection.js';
import { sessionAfter } from '../../src/store/session-row.js';
import { markdownOf } from '../../src/sessions/transcript/markdown.js';
import { usageOf as usageOfRows } from '../../src/access/usage.js';
import { LOCAL } from '../../src/access/principal.js';
import { ModelPrices } from '../../workers/claude/model-prices.js';
import { CostMeter, costStateOf, type Counted } from '../../workers/claude/cost.js';
import type { ClaudeMessage } from '../../workers/claude/ending.js';

const took = (cost_usd: number, turns = 1): Usage => ({ ...NO_USAGE, cost_usd, turns });
const row = (fields: Partial<TaskRow> = {}): TaskRow => ({
  task_id: 't1',
  session_id: 's',
  owner: 'ann',
  status: 'queued',
  queue: 'default',
  priority: 'normal',
  prompt_preview: '',
  created_at: '2026-01-01T00:00:00.000Z',
  attempt: 0,
  state_seq: 0,
  ...fields,
});
const ended = (fields: Partial<TaskRow>): TaskRow =>
  row({ status: 'completed', ended_at: '2026-01-01T00:01:00.000Z', ...fields });

describe('a session', () => {
  const changes: [TaskRow | undefined, TaskRow | undefined][] = [
    [undefined, row()],
    [row(), ended({ usage: took(0.5, 2) })],
    [undefined, row({ task_id: 't2', created_at: '2026-01-02T00:00:00.000Z', session_name: 'notes' })],
    [row({ task_id: 't2' }), row({ task_id: 't2', status: 'retrying', usage: took(0.25) })],
    [
      row({ task_id: 't2', status: 'retrying', usage: took(0.25) }),
      ended({ task_id: 't2', usage: took(0.75, 3), ended_at: '2026-01-03T00:00:00.000Z' }),
    ],
  ];
  const after = (count: number): Session | undefined =>
    changes
      .slice(0, count)
      .reduce<Session | undefined>((session, [before, next]) => sessionAfter(session, before, next), undefined);

  it('is the sum of its tasks in their current state', () => {
    assert.deepEqual([after(1)?.tasks, after(1)?.open], [1, 1]);
    assert.deepEqual([after(2)?.open, after(2)?.usage.cost_usd], [0, 0.5]);
    assert.equal(after(4)?.usage.cost_usd, 0.75);
    const whole = after(5);
    assert.deepEqual(
      [whole?.tasks, whole?.open, whole?.usage.cost_usd, whole?.usage.turns, whole?.session_name],
      [2, 0, 1.25, 5, 'notes'],
    );
    assert.deepEqual(
      [whole?.last_task_id, whole?.created_at, whole?.updated_at],
      ['t2', '2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z'],
    );
  });

  it('is removed with its last task', () => {
    const one = sessionAfter(after(5), ended({ usage: took(0.5, 2) }), undefined);
    assert.deepEqual([one?.tasks, one?.usage.cost_usd], [1, 0.75]);
    assert.equal(sessionAfter(one, ended({ task_id: 't2', usage: took(0.75, 3) }), undefined), undefined);
  });
});

describe('the usage of a run', () => {
  const models = (input: number): object => ({
    a: { inputTokens: input, outputTokens: 10 },
    b: { inputTokens: 1, cacheReadInputTokens: 5 },
  });
  const result = (total: number, input: number, turns = 2, session_id = 's'): ClaudeMessage => ({
    type: 'result',
    session_id,
    total_cost_usd: total,
    num_turns: turns,
    modelUsage: models(input),
  });
  const state = (total: number, sessionId = 's'): Counted => ({ type: 'cost-state', sessionId, totalCostUSD: total });
  const cost = (meter: CostMeter): number | undefined => meter.usage()?.cost_usd;

  it('is the total that Claude reports, minus the earlier usage of the session', () => {
    const before = costStateOf([
      state(0.1),
      { type: 'user' },
      { ...state(0.5), modelUsage: { a: { inputTokens: 100, outputTokens: 4 } } },
    ]);
    const meter = new CostMeter('s', before);
    meter.observe(result(0.75, 150));
    assert.deepEqual(meter.usage(), {
      cost_usd: 0.25,
      input_tokens: 51,
      output_tokens: 6,
      cache_read_tokens: 5,
      cache_write_tokens: 0,
      turns: 2,
    });
  });

  it('counts the turns of each result, and everything else from the last result', () => {
    const meter = new CostMeter('s', undefined);
    for (const each of [result(0.25, 1, 2), result(0.5, 2, 1), result(0, 0, 0)]) meter.observe(each);
    assert.deepEqual([cost(meter), meter.usage()?.turns], [0.5, 3]);
  });

  it('is the last usage that Claude recorded, if it ended without a result', () => {
    const meter = new CostMeter('s', state(0.5));
    meter.entries([{ type: 'user' }, state(0.625)]);
    meter.entries([state(0.75)]);
    assert.equal(cost(meter), 0.25);
  });

  // `/clear`: Claude counts from zero again, and notes the end of the other one late.
  it('adds up the sessions into which Claude split one session', () => {
    const meter = new CostMeter('s', state(0.5));
    meter.observe(result(0.75, 1));
    meter.observe(result(0.125, 1, 1, 'another'));
    meter.entries([state(0.75), state(0.125, 'another')]);
    assert.equal(cost(meter), 0.375);
  });

  it('is exact in decimal', () => {
    const meter = new CostMeter('s', state(0.1));
    meter.observe(result(0.30000000000000004, 1));
    assert.equal(cost(meter), 0.2);
    const sum = Array.from({ length: 3 }, () => ({ ...NO_USAGE, cost_usd: 0.0001 })).reduce((a, b) => addUsage(a, b));
    assert.equal(sum.cost_usd, 0.0003);
  });

  it('is unknown until Claude reports it', () => {
    const meter = new CostMeter('s', state(0.5));
    meter.observe({ type: 'result' });
    meter.entries([{ type: 'user' }]);
    assert.equal(meter.usage(), undefined);
  });
});

describe('usage', () => {
  const rows = [
    ended({ usage: took(1), token_id: 'x' }),
    ended({ usage: took(2), token_id: 'y', owner: 'bob', agent_id: 'a1', ended_at: '2026-01-02T10:00:00.000Z' }),
    ended({ token_id: 'x' }),
  ];
  const model = {
    forEachEnded: async (_range: unknown, each: (row: TaskRow) => void): Promise<void> => rows.forEach(each),
  };

  it('is summed by the requested fields', async () => {
    const by = async (what: UsageGroup): Promise<unknown[][]> =>
      (await usageOfRows(model, { by: what }, LOCAL, 0)).items.map((each) => [each.key, each.tasks, each.cost_usd]);
    assert.deepEqual(await by('day'), [
      ['2026-01-01', 2, 1],
      ['2026-01-02', 1, 2],
    ]);
    assert.deepEqual(await by('token'), [
      ['y', 1, 2],
      ['x', 2, 1],
    ]);
    assert.deepEqual(await by('agent'), [
      ['a1', 1, 2],
      ['', 2, 1],
    ]);
    assert.deepEqual((await usageOfRows(model, {}, LOCAL, 0)).total, { tasks: 3, ...took(3, 2) });
  });

  it('of other owners is visible only with access to all owners', async () => {
    const ann = { ...LOCAL, owner: 'ann', seesAll: false };
    await assert.rejects(usageOfRows(model, { owner: 'bob' }, ann, 0), { code: 'forbidden' });
    await assert.rejects(usageOfRows(model, { from: '2026-02-01', to: '2026-01-01' }, LOCAL, 0), {
      code: 'invalid_request',
    });
  });
});

describe('a transcript to read', () => {
  it('contains text and tool calls, in fences that its text cannot close', () => {
    const entries: TranscriptEntry[] = [
      { type: 'queue-operation' },
      { type: 'user', message: { role: 'user', content: 'Hello' }, timestamp: '2026-01-01T00:00:00.000Z' },
      { type: 'user', isMeta: true, message: { content: 'not for people' } },
      {
        type: 'assistant',
        message: {
          content: [
            { type: 'thinking', thinking: 'hm' },
            { type: 'text', text: 'Let me see' },
            { type: 'tool_use', name: 'Bash', input: { command: 'ls' } },
          ],
        },
      },
      { type: 'user', message: { content: [{ type: 'tool_result', content: 'a ``` b' }] } },
    ];
    const text = markdownOf('notes', entries);
    assert.match(
      text,
      /^# notes\n\n## User · 2026-01-01T00:00:00.000Z\n\nHello\n\n## Claude\n\nLet me see\n\n\*\*Bash\*\*/,
    );
    assert.match(text, /````\na ``` b\n````/);
    assert.doesNotMatch(text, /not for people|hm/);
  });
});

describe('the prices of a model', () => {
  const tokens = (input: number, output: number, read: number, write: number) => ({
    input_tokens: input,
    output_tokens: output,
    cache_read_tokens: read,
    cache_write_tokens: write,
  });
  /** Unlike the ratios that estimates begin with. */
  const [input, output, read, write] = [1e-6, 8e-6, 0.5e-6, 2e-6];
  const truth = (of: ReturnType<typeof tokens>): number =>
    of.input_tokens * input + of.output_tokens * output + of.cache_read_tokens * read + of.cache_write_tokens * write;

  it('are derived from the costs that Claude reports, whatever their ratios are', () => {
    const prices = new ModelPrices();
    const mixtures = [
      tokens(900, 20, 0, 50),
      tokens(50, 400, 100, 0),
      tokens(10, 30, 9_000, 0),
      tokens(0, 60, 200, 800),
    ];
    const learn = (of: ReturnType<typeof tokens>): void =>
      prices.learn({
        m: {
          inputTokens: of.input_tokens,
          outputTokens: of.output_tokens,
          cacheReadInputTokens: of.cache_read_tokens,
          cacheCreationInputTokens: of.cache_write_tokens,
          costUSD: truth(of),
        },
      });
    const usage = tokens(100, 300, 2_000, 100);
    const off = (): number => Math.abs(prices.costOf('m', usage) / truth(usage) - 1);
    for (const mixture of mixtures) learn(mixture);
    const first = off();
    for (let n = 0; n < 20; n++) for (const mixture of mixtures) learn(mixture);
    assert.ok(off() < 0.02 && off() < first, `${off()} after ${first}`);
    assert.equal(prices.costOf('unknown', usage), 0);
  });
});
