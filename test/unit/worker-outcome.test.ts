import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClaudeEnding, ClaudeMessage } from '../../workers/claude/ending.js';
import { StreamReader } from '../../workers/claude/stream-reader.js';
import { limitOf, outcomeOf } from '../../workers/attempt/outcome.js';

const result = (fields: Record<string, unknown>): ClaudeMessage => ({
  type: 'result',
  subtype: 'success',
  is_error: false,
  result: 'text',
  ...fields,
});
const failed = (fields: Record<string, unknown>): ClaudeMessage => result({ is_error: true, ...fields });
const ending = (fields: Partial<ClaudeEnding>): ClaudeEnding => ({
  stderr: '',
  stdout: '',
  exit: { code: 0, signal: null },
  ...fields,
});
const status = (code: number): Partial<ClaudeEnding> => ({ result: failed({ api_error_status: code }) });

const TABLE: readonly [string, Partial<ClaudeEnding>, string][] = [
  ['success', { result: result({}) }, 'completed'],
  [
    'success whose process lingered',
    { result: result({}), lingered: true, exit: { code: null, signal: 'SIGKILL' } },
    'completed',
  ],
  [
    'an answer that does not fit its schema',
    { result: result({}), mismatches: [{ path: '/a', message: 'must be string' }] },
    'output_mismatch',
  ],
  [
    'an answer that could not be checked',
    { result: result({}), unchecked: 'the validation took longer than 20 s' },
    'output_unchecked',
  ],
  ['an answer that the host had no thread to check', { result: result({}), shortage: 'threads' }, 'host_unable'],
  [
    'no answer that fits its schema, in all of its tries',
    { result: failed({ subtype: 'error_max_structured_output_retries', errors: ['5 attempts'] }) },
    'output_mismatch',
  ],
  [
    'no executable',
    { spawnError: { code: 'ENOENT', message: 'gone', path: '/x' }, exit: undefined },
    'claude_not_found',
  ],
  ['400', status(400), 'claude_invalid_request'],
  ['401', status(401), 'claude_auth_failed'],
  ['402', status(402), 'claude_auth_failed'],
  ['403', status(403), 'claude_auth_failed'],
  ['404', status(404), 'claude_invalid_request'],
  ['408', status(408), 'claude_overloaded'],
  ['409', status(409), 'claude_overloaded'],
  ['413', status(413), 'claude_invalid_request'],
  ['429', status(429), 'claude_rate_limited'],
  ['500', status(500), 'claude_overloaded'],
  ['503', status(503), 'claude_overloaded'],
  ['529', status(529), 'claude_overloaded'],
  ['401 again and again', { refusedStatus: 401, exit: { code: 143, signal: null } }, 'claude_auth_failed'],
  [
    'not logged in',
    { result: failed({ api_error_status: null }), assistantError: 'authentication_failed', apiKeySource: 'none' },
    'claude_no_credentials',
  ],
  [
    'a login that is refused',
    { result: failed({}), assistantError: 'authentication_failed', apiKeySource: 'user' },
    'claude_auth_failed',
  ],
  [
    'a connection that drops',
    { result: failed({ api_error_status: null }), assistantError: 'server_error' },
    'claude_overloaded',
  ],
  ['an overload without a status', { result: failed({}), assistantError: 'overloaded' }, 'claude_overloaded'],
  ['a rate limit without a status', { result: failed({}), assistantError: 'rate_limit' }, 'claude_rate_limited'],
  ['an account on hold', { result: failed({}), assistantError: 'account_on_hold' }, 'claude_auth_failed'],
  [
    'an organisation that may not',
    { result: failed({}), assistantError: 'oauth_org_not_allowed' },
    'claude_auth_failed',
  ],
  ['no money', { result: failed({}), assistantError: 'billing_error' }, 'claude_auth_failed'],
  ['a context that is full', { result: failed({ terminal_reason: 'blocking_limit' }) }, 'claude_invalid_request'],
  ['a prompt that is too long', { result: failed({ terminal_reason: 'prompt_too_long' }) }, 'claude_invalid_request'],
  ['turns, by the reason alone', { result: failed({ terminal_reason: 'max_turns' }) }, 'claude_max_turns'],
  ['a budget, by the reason alone', { result: failed({ terminal_reason: 'budget_exhausted' }) }, 'claude_max_budget'],
  [
    'an overload that ended a turn half-way',
    { result: failed({ subtype: 'error_during_execution' }), assistantError: 'overloaded' },
    'claude_overloaded',
  ],
  ['an error of no known kind', { result: failed({}) }, 'claude_error'],
  ['too many turns', { result: failed({ subtype: 'error_max_turns', errors: ['Reached 1'] }) }, 'claude_max_turns'],
  ['budget', { result: failed({ subtype: 'error_max_budget_usd' }) }, 'claude_max_budget'],
  ['an error of Claude', { result: failed({ subtype: 'error_during_execution' }) }, 'claude_error'],
  ['a result of no shape', { result: { type: 'result' } }, 'claude_bad_output'],
  ['a result without text', { result: result({ result: undefined }) }, 'claude_bad_output'],
  ['a lost transcript', { result: result({}), transcriptError: 'refused' }, 'transcript_failed'],
  ['an exit code', { exit: { code: 3, signal: null } }, 'claude_crashed'],
  ['a signal', { exit: { code: null, signal: 'SIGSEGV' } }, 'claude_crashed'],
  ['a run stopped as it took too long', { stopped: 'timeout', exit: { code: 143, signal: null } }, 'claude_timeout'],
  ['a silent run', { stopped: 'idle', exit: { code: null, signal: 'SIGKILL' } }, 'claude_idle'],
  ['a result that came before the stop', { stopped: 'timeout', result: result({}) }, 'completed'],
  [
    'a result after which subagents were still at work when its time was up',
    { result: result({}), stopped: 'timeout', unfinished: true, exit: { code: 143, signal: null } },
    'claude_timeout',
  ],
  [
    'a result after which another turn was cut off',
    { result: result({}), unfinished: true, exit: { code: null, signal: 'SIGKILL' } },
    'claude_crashed',
  ],
  [
    'subagents that were interrupted after a result',
    { result: result({}), interrupted: true, unfinished: true },
    'claude_interrupted',
  ],
  ['nothing', {}, 'claude_bad_output'],
  ['garbage', { stdout: 'xx' }, 'claude_bad_output'],
];

describe('outcomeOf', () => {
  it('omits internal notes of Claude from the outcome of an interruption', () => {
    const errors = ['[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null'];
    const outcome = outcomeOf(
      ending({ result: failed({ subtype: 'error_during_execution', errors }), interrupted: true }),
    );
    assert.ok(outcome.kind === 'failed');
    assert.doesNotMatch(outcome.error.message, /diagnostic|error_during_execution/);
    assert.match(outcome.error.message, /^Claude was interrupted on request\. Continue/);
  });

  for (const [name, fields, expected] of TABLE) {
    it(`maps ${name} to ${expected}`, () => {
      const outcome = outcomeOf(ending(fields));
      assert.equal(outcome.kind === 'completed' ? 'completed' : outcome.error.code, expected);
    });
  }

  it('keeps the end of stderr, the exit code and the status in the detail, and the result as output', () => {
    const outcome = outcomeOf(ending({ ...status(529), stderr: 'boom', exit: { code: 1, signal: null } }));
    assert.ok(outcome.kind === 'failed');
    assert.deepEqual(outcome.error.detail, {
      stderr: 'boom',
      exit_code: 1,
      api_error_status: 529,
      subtype: 'success',
    });
    assert.equal(outcome.output?.['result'], 'text');
  });

  it('contains the reset time of a usage limit, for that error only', () => {
    const at = (code: number) => outcomeOf(ending({ ...status(code), limitResetsAt: 1_000 }));
    const [limited, overloaded] = [at(429), at(529)];
    assert.ok(limited.kind === 'failed' && overloaded.kind === 'failed');
    assert.deepEqual([limited.retryAt, overloaded.retryAt], [1_000, undefined]);
  });

  it('pauses the fleet if a limit stopped Claude, and not if Claude finished anyway', () => {
    const until = (fields: Partial<ClaudeEnding>) => limitOf(outcomeOf(ending(fields)), ending(fields), 1_000);
    assert.equal(until({ ...status(429), limitResetsAt: 5_000 }), 5_000);
    assert.equal(until(status(429)), 31_000);
    assert.equal(until(status(529)), undefined);
    assert.equal(until({ result: result({}), limitResetsAt: 5_000 }), undefined);
  });

  it('contains the next step', () => {
    const outcome = outcomeOf(ending({ spawnError: { code: 'ENOENT', message: 'no such file', path: '/x/claude' } }));
    assert.ok(outcome.kind === 'failed');
    assert.match(outcome.error.message, /\/x\/claude: no such file\. .*KSI_CLAUDE_BIN/);
  });
});

describe('StreamReader', () => {
  const read = (messages: ClaudeMessage[]) => {
    const stored: ClaudeMessage[] = [];
    const texts: string[] = [];
    const reader = new StreamReader(
      (message) => stored.push(message),
      (text) => texts.push(text),
    );
    return { next: messages.map((message) => reader.read(message)), stored, texts, reader };
  };
  const delta = (fields: object = {}): ClaudeMessage => ({
    type: 'stream_event',
    event: { type: 'content_block_delta', delta: { type: 'text_delta', text: 'a' } },
    ...fields,
  });

  it('passes on messages of any type, but neither deltas nor the last result', () => {
    const unknown = { type: 'of a later version' };
    const first = result({ result: '1' });
    const { stored, texts, reader, next } = read([unknown, delta(), first, unknown, result({ result: '2' })]);
    assert.deepEqual(stored, [unknown, unknown, first]);
    assert.deepEqual(texts, ['a']);
    assert.equal(reader.summary().result?.['result'], '2');
    assert.deepEqual(next, ['go_on', 'go_on', 'over', 'go_on', 'over']);
  });

  it('waits for background work and the turn that follows it', () => {
    const background = (...tasks: object[]): ClaudeMessage => ({
      type: 'system',
      subtype: 'background_tasks_changed',
      tasks,
    });
    const init = { type: 'system', subtype: 'init' };
    const agent = { task_type: 'local_agent' };
    const shell = { task_type: 'local_bash' };
    const watcher = { task_type: 'monitor', ambient: true };
    const first = [init, background(agent, watcher), result({})];
    assert.deepEqual(read(first).next.at(-1), 'go_on');
    assert.equal(read(first).reader.unfinished, true);
    const ended = [...first, background(watcher)];
    assert.deepEqual(read(ended).next.at(-1), 'settled');
    assert.equal(read(ended).reader.unfinished, false);
    assert.deepEqual(read([...ended, init]).reader.unfinished, true);
    assert.deepEqual(read([...ended, init, result({})]).next.at(-1), 'over');
    // A command that never ends is nothing that is cut off.
    const server = read([init, background(shell), result({})]);
    assert.deepEqual([server.next.at(-1), server.reader.unfinished], ['go_on', false]);
  });

  it('shows no deltas of subagents', () => {
    assert.deepEqual(read([delta({ parent_tool_use_id: 'toolu_1' })]).texts, []);
  });

  it('distinguishes a limit that stops work from one with paid overage and from one that has ended', () => {
    const limit = (info: object): ClaudeMessage => ({
      type: 'rate_limit_event',
      rate_limit_info: { status: 'rejected', resetsAt: 2, ...info },
    });
    const until = (...events: ClaudeMessage[]) => read(events).reader.summary().limitResetsAt;
    assert.equal(until(limit({})), 2_000);
    assert.equal(until(limit({ isUsingOverage: true })), undefined);
    assert.equal(until(limit({}), limit({ status: 'allowed' })), undefined);
  });

  it('stops retries of a refused authentication, and only of that', () => {
    const retry = (error_status: number, attempt: number) => ({
      type: 'system',
      subtype: 'api_retry',
      error_status,
      attempt,
    });
    assert.deepEqual(read([retry(401, 1), retry(401, 2)]).next, ['go_on', 'refused']);
    assert.deepEqual(read([retry(529, 1), retry(529, 9)]).next, ['go_on', 'go_on']);
  });
});
