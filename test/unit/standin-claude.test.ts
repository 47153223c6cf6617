import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text as readText } from 'node:stream/consumers';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { query } from '@anthropic-ai/claude-agent-sdk';
import { CLAUDE_STANDIN } from '../fixtures/paths.js';

interface Message {
  readonly type: string;
  readonly [key: string]: unknown;
}

const user = (content: string) => `${JSON.stringify({ type: 'user', message: { role: 'user', content } })}\n`;

function start(...args: string[]) {
  const child = spawn(CLAUDE_STANDIN, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  return { child, exit: once(child, 'exit'), stderr: readText(child.stderr) };
}

async function run(prompt: string, ...args: string[]) {
  const { child, exit, stderr } = start(...args);
  const stdout = readText(child.stdout);
  child.stdin.end(user(prompt));
  const [code] = (await exit) as [number | null];
  const lines = (await stdout).trimEnd().split('\n');
  const messages = lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Message);
  return { code, lines, messages, types: messages.map((message) => message.type), stderr: await stderr };
}

async function until(lines: AsyncIterator<string>, part: string): Promise<void> {
  for (let next = await lines.next(); next.done !== true; next = await lines.next()) {
    if (next.value.includes(part)) return;
  }
  throw new Error(`The stand-in ended before it wrote ${part}`);
}

test('answers a turn in the given session', async () => {
  for (const args of [['--session-id', 's-1'], ['--session-id=s-1'], ['--resume', 's-1']]) {
    const { code, messages, types } = await run('hello', ...args);
    assert.equal(code, 0);
    assert.deepEqual(types, ['system', 'assistant', 'result']);
    assert.deepEqual([...new Set(messages.map((message) => message['session_id']))], ['s-1']);
    assert.equal(messages[2]?.['result'], 'You said: hello');
  }
});

test('answers control requests', async () => {
  const { child, exit } = start();
  const output = readText(child.stdout);
  child.stdin.end(
    `${JSON.stringify({ type: 'control_request', request_id: 'r', request: { subtype: 'initialize' } })}\n`,
  );
  await exit;
  const { response } = JSON.parse(await output) as { response: { subtype: string; request_id: string } };
  assert.deepEqual([response.subtype, response.request_id], ['success', 'r']);
});

test('misbehaves in every way that is requested', async () => {
  const died = await run('[[die:7]]');
  assert.deepEqual([died.code, died.types], [7, ['system', 'assistant']]);
  const silent = await run('[[no-result]]');
  assert.deepEqual([silent.code, silent.types], [0, ['system']]);
  const garbage = await run('[[garbage]][[stderr:oh no]][[messages:3]][[sleep:1]]');
  assert.equal(garbage.lines[1], 'this is not JSON {');
  assert.equal(garbage.stderr, 'oh no\n');
  assert.equal(garbage.types.filter((type) => type === 'assistant').length, 4);
  const failed = await run('[[error]]');
  assert.deepEqual(
    [failed.code, failed.messages.at(-1)?.['subtype'], failed.messages.at(-1)?.['is_error']],
    [1, 'success', true],
  );
  const large = await run('[[size:1000000]]');
  assert.equal(String(large.messages.at(-1)?.['result']).length, 1_000_000);
});

test('keeps running after the end of stdin and ignores SIGTERM', async () => {
  const { child, exit } = start();
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.write(user('[[ignore-sigterm]][[messages:1]][[hang]]'));
  await until(lines, 'message 1');
  child.kill('SIGTERM');
  child.stdin.end(`${JSON.stringify({ type: 'control_request', request_id: 'alive', request: { subtype: 'x' } })}\n`);
  await until(lines, 'alive');
  child.kill('SIGKILL');
  assert.deepEqual(await exit, [null, 'SIGKILL']);
});

test('leaves a child and a grandchild in another session', async () => {
  const { messages } = await run('[[fork:30000]]');
  const text = JSON.stringify(messages[1]);
  const pids = [...text.matchAll(/(?:child|grandchild)\\":(\d+)/g)].map((match) => Number(match[1]));
  assert.equal(pids.length, 2);
  for (const pid of pids) assert.equal(process.kill(pid, 'SIGKILL'), true);
});

async function* prompts() {
  yield { type: 'user' as const, message: { role: 'user' as const, content: 'hi' }, parent_tool_use_id: null };
}

test('works under the Agent SDK', async () => {
  const types: string[] = [];
  const options = { pathToClaudeCodeExecutable: CLAUDE_STANDIN, settingSources: [], sessionId: crypto.randomUUID() };
  for await (const message of query({ prompt: prompts(), options })) {
    types.push(message.type);
    assert.equal(message.session_id, options.sessionId);
  }
  assert.deepEqual(types, ['system', 'assistant', 'result']);
});
