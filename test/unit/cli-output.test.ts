import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, describe, it } from 'node:test';
import { API_ERRORS, type ApiErrorCode } from '../../contracts/wire/errors.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import { confirmed, isTerminal } from '../../src/cli/confirm.js';
import { folderId } from '../../src/process/folder-id.js';
import { findConnection } from '../../src/cli/connection.js';
import { writeContexts } from '../../src/cli/contexts.js';
import { CliError, EXIT } from '../../src/cli/exit.js';
import { eventLine } from '../../src/cli/output/event-line.js';
import { AnswerPrinter } from '../../src/cli/output/answer-printer.js';
import { AnswerText, type Piece } from '../../src/cli/output/answer.js';
import { printable } from '../../src/cli/output/printable.js';
import { renderTable, shorten } from '../../src/cli/output/table.js';
import { timesFor } from '../../src/cli/output/times.js';
import { explain } from '../../src/cli/run.js';
import { KsiError, KsiUnreachableError } from '../../src/client/errors.js';
import { problemOf } from './cli-fake-api.js';

const delta = (text: string, offset: number, part = 0, attempt = 1) => ({
  v: 1,
  type: 'SPAWN_DELTA' as const,
  timestamp: '',
  data: { task_id: '', session_id: '', owner: '', attempt, part, offset, text },
});
const assistant = (...content: unknown[]) => ({ type: 'assistant', message: { content } });
const text = (value: string) => ({ type: 'text', text: value });
const stdout = (pieces: readonly Piece[]): string =>
  pieces
    .filter(({ to }) => to === 'stdout')
    .map((piece) => piece.text)
    .join('');

function begun(): AnswerText {
  const answer = new AnswerText();
  assert.deepEqual(answer.start(1), []);
  return answer;
}

describe('an answer', () => {
  it('waits for the start of its attempt, and writes earlier deltas once', () => {
    const answer = new AnswerText();
    assert.deepEqual(answer.delta(delta('Hel', 0)), []);
    assert.equal(stdout([...answer.start(1), ...answer.delta(delta('lo', 3))]), 'Hello');
    assert.equal(stdout(answer.message(assistant(text('Hello')))), '\n');
  });

  it('is written from deltas, and the complete message adds only the line end', () => {
    const answer = begun();
    assert.equal(stdout([...answer.delta(delta('Hel', 0)), ...answer.delta(delta('lo', 3))]), 'Hello');
    assert.equal(stdout(answer.message(assistant(text('Hello')))), '\n');
  });

  it('is completed by the complete message if deltas are missing at the start, in the middle or at the end', () => {
    for (const deltas of [
      [],
      [delta('lo', 3)],
      [delta('H', 0), delta('llo', 2)],
      [delta('Hel', 0)],
      [delta('Hello', 0), delta('lo', 3)],
    ]) {
      const answer = begun();
      const pieces = deltas.flatMap((each) => answer.delta(each));
      assert.equal(stdout([...pieces, ...answer.message(assistant(text('Hello')))]), 'Hello\n');
    }
  });

  it('keeps a delta that arrives early, and ignores late deltas and those of another attempt', () => {
    const answer = begun();
    const pieces = [
      ...answer.delta(delta('Tw', 0, 1)),
      ...answer.message(assistant(text('One'))),
      ...answer.delta(delta('One', 0)),
      ...answer.delta(delta('o', 2, 1)),
      ...answer.delta(delta('Two', 0, 1, 2)),
      ...answer.message(assistant(text('Two'))),
    ];
    assert.equal(stdout(pieces), 'One\n\nTwo\n');
  });

  it('is written as soon as its turn comes, even if its deltas overtook earlier events', () => {
    const answer = begun();
    assert.equal(stdout(['Tw', 'o'].flatMap((part, n) => answer.delta(delta(part, n * 2, 1)))), '');
    assert.equal(stdout(answer.message(assistant(text('One')))), 'One\n\nTwo');
    assert.equal(stdout(answer.message(assistant(text('Two')))), '\n');
    assert.equal(stdout(answer.delta(delta('New', 0, 0, 2))), '');
    assert.equal(stdout(answer.start(2)), '\nNew');
  });

  it('starts again with another attempt', () => {
    const answer = begun();
    const pieces = [
      ...answer.message(assistant(text('One'))),
      ...answer.delta(delta('Tw', 0, 1)),
      ...answer.start(2),
      ...answer.delta(delta('On', 0, 0, 2)),
      ...answer.message(assistant(text('One'))),
    ];
    assert.equal(stdout(pieces), 'One\n\nTw\n\nOne\n');
  });

  it('shows the whole text if Claude started again', () => {
    const answer = begun();
    assert.equal(stdout([...answer.delta(delta('Hm', 0)), ...answer.message(assistant(text('Hello')))]), 'Hm\nHello\n');
  });

  it('prints tools to stderr, separate from the answer', () => {
    const answer = begun();
    const pieces = answer.message(assistant({ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }));
    assert.deepEqual(pieces, [{ to: 'stderr', text: '→ Bash ls\n' }]);
    assert.equal(answer.any, false);
  });

  it('excludes Claude’s error messages and other events', () => {
    const answer = begun();
    assert.deepEqual(
      answer.message({ type: 'assistant', message: { model: '<synthetic>', content: [text('API Error')] } }),
      [],
    );
    for (const odd of [
      undefined,
      null,
      1,
      {},
      { type: 'assistant' },
      { type: 'user', message: { content: [text('x')] } },
      { type: 'assistant', parent_tool_use_id: 'a subagent', message: { content: [text('x')] } },
    ])
      assert.deepEqual(answer.message(odd), []);
  });
});

describe('following a task', () => {
  it('shows pending approvals and how to answer them', () => {
    const pieces: Piece[] = [];
    const printer = new AnswerPrinter((piece) => pieces.push(piece));
    const event = (type: string, data: object): void =>
      void printer.show({ type, seq: 1, timestamp: '2026-01-01T00:00:00Z', data } as unknown as EventEnvelope);
    event('APPROVAL_REQUESTED', { approval_id: 'T.1.1', tool: 'Bash', input: { command: 'ls' } });
    event('APPROVAL_RESOLVED', { approval_id: 'T.1.1', decision: 'deny' });
    assert.equal(
      pieces.map(({ to, text }) => `${to}: ${text}`).join(''),
      'stderr: Claude asks to use Bash: ls\nAnswer with: ksi approvals allow T.1.1, or deny\nstderr: answered: deny\n',
    );
  });
});

describe('an event on one line', () => {
  it('says that a body was deleted', () => {
    const line = eventLine({ type: 'SPAWN_INPUT', data: { ref: { name: 'x', size: 1 } } }, 'now');
    assert.match(line, /^now SPAWN_INPUT \(the text was deleted\)$/);
  });
});

describe('text for a terminal', () => {
  it('has no control or bidirectional characters, and keeps joiners', () => {
    assert.equal(printable('a\u001b[2J\u009b\u202eb\u2066\u200f\tc\nd'), 'a[2Jb\tc\nd');
    assert.equal(printable('👩\u200d💻'), '👩\u200d💻');
    assert.equal(renderTable(['A', 'B'], [['x\u202e', 'y\u2067\nz']], 80), 'A  B\nx  y z');
  });
});

describe('a table', () => {
  it('fits the terminal by shortening its last column', () => {
    const lines = renderTable(['A', 'B'], [['id-1', 'a long prompt that does not fit']], 20).split('\n');
    assert.deepEqual(lines, ['A     B', 'id-1  a long prompt…']);
  });

  it('also shortens its widest column, but never the id', () => {
    const [, row = ''] = renderTable(['ID', 'NAME', 'PROMPT'], [['an-id-1234567', 'n'.repeat(99), 'p']], 40).split(
      '\n',
    );
    assert.equal(row, `an-id-1234567  ${'n'.repeat(14)}…  p`);
  });

  it('measures displayed width and does not split characters', () => {
    assert.equal(shorten('日本語のテスト', 8), '日本語…');
    assert.equal(shorten('👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦', 5), '👩‍👩‍👧‍👦👩‍👩‍👧‍👦…');
    assert.equal(shorten('naïve', 5), 'naïve');
    const lines = renderTable(
      ['A', 'B'],
      [
        ['日本', 'x'],
        ['ab', 'y'],
      ],
      20,
    ).split('\n');
    assert.deepEqual(lines, ['A     B', '日本  x', 'ab    y']);
  });

  it('keeps a row on one line', () => {
    assert.equal(shorten('two\n  lines', 80), 'two lines');
  });

  it('shows times as ages', () => {
    const now = Date.parse('2026-01-02T00:00:00Z');
    assert.deepEqual(
      [
        '2026-01-01T23:59:50Z',
        '2026-01-01T23:30:00Z',
        '2026-01-01T20:00:00Z',
        '2025-12-30T00:00:00Z',
        '2026-01-02T00:00:05Z',
      ].map(timesFor({}, now)),
      ['10s ago', '30m ago', '4h ago', '3d ago', 'in 5s'],
    );
  });
});

describe('the connection', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ksi-cli-'));
  after(() => rmSync(folder, { recursive: true }));

  it('comes from the options, or else the environment', () => {
    assert.deepEqual(findConnection({ url: 'http://a', token: 't' }, { KSI_URL: 'http://b', KSI_TOKEN: 'u' }, folder), {
      url: 'http://a',
      token: 't',
    });
    assert.deepEqual(findConnection({}, { KSI_URL: 'http://b', KSI_TOKEN: 'u' }, folder), {
      url: 'http://b',
      token: 'u',
    });
  });

  it('is found in the nearest .ksi folder upward', () => {
    mkdirSync(join(folder, '.ksi'));
    mkdirSync(join(folder, 'deep', 'er'), { recursive: true });
    writeFileSync(join(folder, '.ksi', 'token'), 'secret\n');
    const endpoints = { url: 'http://127.0.0.1:1', folder: folderId(join(folder, '.ksi')) };
    writeFileSync(join(folder, '.ksi', 'endpoints.json'), JSON.stringify(endpoints));
    assert.deepEqual(findConnection({}, {}, join(folder, 'deep', 'er')), {
      url: 'http://127.0.0.1:1',
      token: 'secret',
    });
  });

  it('is found from anywhere by --dir, or else in the context in use', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'ksi-elsewhere-'));
    const env = { XDG_CONFIG_HOME: elsewhere };
    const local = { url: 'http://127.0.0.1:1', token: 'secret' };
    assert.deepEqual(findConnection({ dir: join(folder, '.ksi') }, env, elsewhere), local);
    const remote = { url: 'http://remote', token: 'r' };
    const contexts = { here: { dir: join(folder, '.ksi') }, there: remote };
    writeContexts(env, { current: 'here', contexts });
    assert.deepEqual(findConnection({}, env, elsewhere), local);
    writeContexts(env, { current: 'there', contexts });
    assert.deepEqual(findConnection({}, env, elsewhere), remote);
    // A cluster that is nearer comes first, and its token is never sent elsewhere.
    assert.deepEqual(findConnection({}, env, folder), local);
    assert.throws(() => findConnection({ url: 'http://a' }, env, elsewhere), /There is no token/);
    assert.equal(statSync(join(elsewhere, 'ksi', 'contexts.json')).mode & 0o777, 0o600);
    rmSync(elsewhere, { recursive: true });
  });

  it('explains what to do if there is none', () => {
    assert.throws(
      () => findConnection({}, { KSI_DIR: join(folder, 'nowhere') }, folder),
      (error) => error instanceof CliError && /ksi up/.test(error.message),
    );
    assert.throws(
      () => findConnection({ url: 'http://a' }, { KSI_DIR: join(folder, 'nowhere') }, folder),
      (error) => error instanceof CliError && error.exitCode === EXIT.auth,
    );
  });
});

describe('the exit code', () => {
  const problem = (status: number) => new KsiError(status, undefined);
  it('depends on the error', () => {
    const cases: [unknown, number][] = [
      [problem(401), EXIT.auth],
      [problem(403), EXIT.auth],
      [problem(400), EXIT.usage],
      [problem(404), EXIT.failure],
      [problem(503), EXIT.failure],
      [new KsiUnreachableError('http://x', new Error('refused')), EXIT.failure],
      [new CliError('x', EXIT.timeout), EXIT.timeout],
      [new Error('unexpected'), EXIT.failure],
    ];
    for (const [error, code] of cases) assert.equal(explain(error).exitCode, code);
  });
});

describe('the next step', () => {
  it('is a ksi command, not an HTTP request', () => {
    for (const code of Object.keys(API_ERRORS) as ApiErrorCode[]) {
      const problem = problemOf(code, 'It is so');
      const { message } = explain(new KsiError(problem.status, problem));
      assert.match(message, /^error \(\w+\): It is so\. \S/);
      assert.doesNotMatch(message, /\bGET\b|\bPOST\b|Retry-After|`errors`|`Allow`|Bearer/, code);
    }
  });

  it('contains the delay and the request id', () => {
    const { message } = explain(new KsiError(503, problemOf('shutting_down', 'It stops'), 2));
    assert.match(message, /Repeat the command.* \(in 2 s\) \(request r\)$/);
  });

  it('keeps the text of an API of another version', () => {
    const { message } = explain(new KsiError(409, { ...problemOf('task_ended', ''), detail: 'It has. Do so.' }));
    assert.match(message, /It has\. Do so\. See the outcome with `ksi task ID`/);
    assert.match(explain(new KsiError(418, undefined)).message, /^error \(http_418\): KSI answered 418$/);
  });
});

describe('a question', () => {
  const answer = async (typed: string | undefined): Promise<[boolean, string]> => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    input.end(typed);
    const yes = await confirmed('Delete?', { input, output });
    return [yes, String(output.read())];
  };
  it('accepts yes, and treats everything else as no', async () => {
    for (const typed of ['y\n', 'YES\n']) assert.deepEqual(await answer(typed), [true, 'Delete? [y/N] ']);
    for (const typed of ['\n', 'n\n', 'yep\n', undefined]) assert.equal((await answer(typed))[0], false, typed);
  });
  it('is asked only on a terminal', () => {
    assert.equal(isTerminal({ input: new PassThrough(), output: new PassThrough() }), false);
  });
});
