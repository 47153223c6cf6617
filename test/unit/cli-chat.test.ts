import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseEntry } from '../../src/cli/chat/commands.js';
import { completeLine } from '../../src/cli/chat/complete-line.js';
import { Keys } from '../../src/cli/chat/keys.js';
import { questionOf, type ApprovalRequest } from '../../src/cli/chat/question.js';
import { Questions } from '../../src/cli/chat/questions.js';
import { TurnView } from '../../src/cli/chat/turn-view.js';
import type { EventEnvelope } from '../../contracts/events/events.js';
import { REPO_ROOT } from '../fixtures/paths.js';

describe('keys', () => {
  /** What readline is given of chunks that a terminal sends. */
  function given(chunks: readonly string[], { shown = true, before = '' } = {}) {
    const messages: string[] = [];
    let isShown = shown;
    const keys = new Keys(process.stdin, {
      isShown: () => isShown,
      beforeCursor: () => before,
      onTyping: () => {
        messages.push('typing');
        isShown = true;
      },
      onInterrupt: () => messages.push('interrupt'),
    });
    for (const chunk of chunks) keys.write(chunk);
    return { text: String(keys.read() ?? ''), told: messages, keys };
  }

  it('pass unchanged', () => {
    assert.equal(given(['a', '\u001b[A', 'é\r']).text, 'a\u001b[Aé\r');
  });

  it('turn a backslash and Enter into a line break, in one chunk or two', () => {
    assert.equal(given(['one\\\rtwo']).text, 'one↵two');
    assert.equal(given(['\rtwo'], { before: 'one\\' }).text, '\u007f↵two');
    assert.equal(given(['\rtwo'], { before: 'one' }).text, '\rtwo');
  });

  it('read a paste as text, however its chunks are split', () => {
    const paste = '\u001b[200~one\r\ntwo\tx\u0003\n\u001b[201~';
    // A terminal's Escape alone is a key.
    for (let at = 2; at <= paste.length; at++)
      assert.equal(given([paste.slice(0, at), paste.slice(at)]).text, 'one↵two  x', String(at));
  });

  it('show the size of a long paste and return its text', () => {
    const long = Array.from({ length: 40 }, (_, n) => `line ${n}`).join('\n');
    const { text, keys } = given([`see \u001b[200~${long}\u001b[201~ ok`]);
    assert.equal(text, 'see [pasted 1: 40 lines] ok');
    assert.equal(keys.textOf(text), `see ${long} ok`);
  });

  it('start a line if none is shown, or interrupt, and do nothing else', () => {
    assert.deepEqual(
      [given(['\r', '\u001b[A', '\u007f'], { shown: false })].map(({ text, told: messages }) => [text, messages]),
      [['', []]],
    );
    const typed = given(['\rhi\r'], { shown: false });
    assert.deepEqual([typed.text, typed.told], ['hi\r', ['typing']]);
    assert.deepEqual(given(['\u0003\u0003'], { shown: false }).told, ['interrupt', 'interrupt']);
  });
});

describe('entered text', () => {
  it('is sent to Claude unless it is a slash and a word', () => {
    assert.deepEqual(parseEntry('/etc/hosts is wrong'), { kind: 'say', text: '/etc/hosts is wrong' });
    assert.deepEqual(parseEntry(' /cost '), { kind: 'command', name: 'cost', argument: '' });
    assert.deepEqual(parseEntry('/session my notes'), { kind: 'command', name: 'session', argument: 'my notes' });
    assert.deepEqual(parseEntry('/quit'), { kind: 'command', name: 'exit', argument: '' });
    assert.deepEqual(parseEntry('/hepl'), { kind: 'unknown', name: 'hepl', near: 'help' });
  });

  it('is completed with commands, and with files after an @', () => {
    assert.deepEqual(completeLine('/s', '/'), [['/session'], '/s']);
    assert.deepEqual(completeLine('see @src/cli/chat/ke', REPO_ROOT), [['src/cli/chat/keys.ts'], 'src/cli/chat/ke']);
    assert.ok(completeLine('see @src/cl', REPO_ROOT)[0].includes('src/client/'));
    assert.deepEqual(completeLine('bob@src', REPO_ROOT), [[], 'bob@src']);
  });
});

describe('a question about a tool', () => {
  const bash: ApprovalRequest = { approval_id: 'A', tool: 'Bash', input: { command: 'rm x', timeout: 5 } };
  const answerTo = (request: ApprovalRequest, ...entered: string[]): unknown => {
    const question = questionOf(request);
    let step = question.next(entered[0] ?? '');
    for (const text of entered.slice(1)) step = question.next(text);
    return step.kind === 'answer' ? step.answer : `${step.text}|${step.prompt}|${step.begin ?? ''}`;
  };

  it('accepts yes, no, and no with a reason; it repeats after anything else', () => {
    assert.deepEqual(answerTo(bash, 'y'), { decision: 'allow' });
    assert.deepEqual(answerTo(bash, ' Allow '), { decision: 'allow' });
    assert.deepEqual(answerTo(bash, 'n'), { decision: 'deny' });
    assert.deepEqual(answerTo(bash, 'no  use git rm\nplease'), { decision: 'deny', message: 'use git rm\nplease' });
    for (const odd of ['', 'yep', 'never', 'perhaps y']) assert.match(String(answerTo(bash, odd)), /^\|allow\?/, odd);
  });

  it('shows the complete input of the tool, with nothing hidden or disguised', () => {
    const input = { command: 'ls\n\u202e#\u200b\r; rm x', description: 'Lists', run_in_background: true };
    const request = { approval_id: 'A', tool: 'Bash', title: 'List files', input };
    assert.equal(
      questionOf(request).first.text,
      'Claude asks to use Bash: ls\n    \\u202e#\\u200b\\u000d; rm x\n    {"run_in_background":true}',
    );
    const written = questionOf({ ...request, tool: 'Write', input: { file_path: '/a', content: 'x'.repeat(9_000) } });
    assert.match(
      written.first.text,
      /Write: \/a\n {4}\{"content":"x{1900,}… \d+ more characters: ksi approvals -o json$/,
    );
  });

  it('allows editing a command, or any input as JSON', () => {
    assert.equal(answerTo(bash, 'e'), '|run instead › |rm x');
    assert.deepEqual(answerTo(bash, 'e', 'rm y'), { decision: 'allow', input: { command: 'rm y', timeout: 5 } });
    assert.match(String(answerTo(bash, 'e', ' ')), /^\|allow\?/);
    const other: ApprovalRequest = { approval_id: 'A', tool: 'T', input: { a: 1 } };
    assert.match(String(answerTo(other, 'e', '{')), /^It must be a JSON object: .*\{"a":1\}$/);
    assert.deepEqual(answerTo(other, 'e', '[]', '{"a": 2}'), { decision: 'allow', input: { a: 2 } });
  });

  it('from Claude is answered with numbers or words, one question after the other', () => {
    const request: ApprovalRequest = {
      approval_id: 'A',
      kind: 'question',
      tool: 'AskUserQuestion',
      input: {
        questions: [
          { question: 'Which?', options: [{ label: 'One', description: 'first' }, { label: 'Two' }] },
          { question: 'Whom?', multiSelect: true, options: [{ label: 'Ann' }, { label: 'Bob' }] },
        ],
      },
    };
    assert.match(questionOf(request).first.text, /Which\?\n {2}1 {2}One: first\n {2}2 {2}Two$/);
    assert.match(String(answerTo(request, '3')), /a number, or/);
    assert.match(String(answerTo(request, '1,2')), /a number, or/);
    assert.match(String(answerTo(request, '2')), /Whom\?/);
    assert.deepEqual(answerTo(request, '2', '1, 2'), {
      decision: 'allow',
      answers: { 'Which?': 'Two', 'Whom?': 'Ann, Bob' },
    });
    assert.deepEqual(answerTo(request, 'neither', '2'), {
      decision: 'allow',
      answers: { 'Which?': 'neither', 'Whom?': 'Bob' },
    });
  });

  it('about a plan shows the whole plan, and can allow its edits too', () => {
    const request: ApprovalRequest = {
      approval_id: 'A',
      kind: 'plan',
      tool: 'ExitPlanMode',
      input: { plan: '# Plan\nmkdir x' },
    };
    assert.equal(questionOf(request).first.text, "Claude's plan:\n# Plan\nmkdir x");
    assert.deepEqual(answerTo(request, 'y'), { decision: 'allow' });
    assert.deepEqual(answerTo(request, 'a'), { decision: 'allow', permission_mode: 'acceptEdits' });
    assert.deepEqual(answerTo(request, 'n too much'), { decision: 'deny', message: 'too much' });
    assert.match(String(answerTo(request, '?')), /carry it out/);
  });

  it('waits for its turn, and is skipped if it was answered elsewhere', () => {
    const questions = new Questions();
    for (const id of ['1', '2', '3']) questions.add({ ...bash, approval_id: id });
    assert.equal(questions.next()?.request.approval_id, '1');
    assert.equal(questions.next(), undefined);
    assert.equal(questions.close('2'), false);
    assert.equal(questions.close('1'), true);
    assert.equal(questions.next()?.request.approval_id, '3');
  });
});

describe('a task in a chat', () => {
  const event = (type: string, data: object, seconds = 0): EventEnvelope =>
    ({ type, timestamp: new Date(seconds * 1_000).toISOString(), data }) as unknown as EventEnvelope;
  const shownOf = (...events: EventEnvelope[]): string => {
    const view = new TurnView(() => 60);
    return events
      .map((each) => view.show(each))
      .map(
        ({ pieces, ended }) =>
          `${pieces.map(({ text }) => text).join('')}${ended === undefined ? '' : `[${ended.summary}]`}`,
      )
      .join('');
  };
  const start = event('SPAWN_START', { attempt: 1 });

  it('shows its text, one line for each tool and result, and its duration and cost', () => {
    const said = (content: unknown[], type = 'assistant') =>
      event('SPAWN_MESSAGE', { message: { type, message: { content } } });
    assert.equal(
      shownOf(
        start,
        said([{ type: 'text', text: 'I look.' }]),
        said([{ type: 'tool_use', name: 'Bash', input: { command: 'ls' } }]),
        said([{ type: 'tool_result', content: [{ type: 'text', text: 'a\nb' }] }], 'user'),
        event('SPAWN_COMPLETE', { usage: { cost_usd: 0.5 }, output: { result: 'I look.' } }, 3.2),
      ),
      'I look.\n→ Bash ls\n  ⎿ a (+1 line)\n[3.2s, $0.5000]',
    );
  });

  it('shows its result if no message had text, and its error', () => {
    assert.equal(shownOf(start, event('SPAWN_COMPLETE', { output: { result: '42' } }, 61)), '42\n[1m1s]');
    const failed = { error: { code: 'claude_crashed', message: 'It died.', retryable: true } };
    assert.equal(shownOf(start, event('SPAWN_ERROR', failed)), '[claude_crashed: It died.]');
    assert.equal(shownOf(start, event('SPAWN_CANCELLED', { reason: 'requested' })), '[cancelled (requested)]');
  });
});
