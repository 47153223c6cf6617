import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import { startMessagesStandin } from '../../src/standin/messages/server.js';

const standin = await startMessagesStandin({ deltaMs: 0 });
after(() => standin.stop());

const post = (prompt: string, extra: object = {}, init: RequestInit = {}) =>
  fetch(`${standin.url}/v1/messages?beta=true`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: prompt }], ...extra }),
    ...init,
  });

interface Frame {
  readonly type: string;
  readonly delta?: { readonly text?: string };
}

const frames = (body: string): Frame[] =>
  body.split('\n').flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6)) as Frame] : []));

test('streams an answer in several deltas', async () => {
  const events = frames(await (await post('[[say:ein kleiner Gruß 👋🏽👋🏽👋🏽]]', { stream: true })).text());
  const deltas = events.filter((event) => event.type === 'content_block_delta');
  assert.ok(deltas.length > 3);
  assert.equal(deltas.map((event) => event.delta?.text).join(''), 'ein kleiner Gruß 👋🏽👋🏽👋🏽');
  assert.deepEqual(
    events.filter((event) => event.type !== 'content_block_delta').map((event) => event.type),
    ['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop'],
  );
});

test('also answers without streaming', async () => {
  const body = (await (await post('[[chars:100000]]')).json()) as { content: { text: string }[]; stop_reason: string };
  assert.equal(body.content[0]?.text.length, 100_000);
  assert.equal(body.stop_reason, 'end_turn');
});

test('says that it is a stand-in, and repeats the earlier prompts', async () => {
  const hello = await (await post('a pear')).text();
  assert.match(hello, /KSI's stand-in/);
  assert.match(hello, /a pear/);
  const messages = ['an apple', 'What did I say before?'].map((content) => ({ role: 'user', content }));
  assert.match(await (await post('', { messages })).text(), /1\. an apple/);
});

test('fails as requested, with headers', async () => {
  const response = await post('[[status:429 retry-after=7 times=1]]');
  assert.equal(response.status, 429);
  assert.equal(response.headers.get('retry-after'), '7');
  assert.equal(((await response.json()) as { error: { type: string } }).error.type, 'rate_limit_error');
  assert.equal((await post('[[status:429 retry-after=7 times=1]]')).status, 200);
});

test('hangs until released, and is not blocked by a client that disconnects', async () => {
  const disconnected = new AbortController();
  const abandoned = post('[[hang]] abandoned', {}, { signal: disconnected.signal });
  await standin.waitFor((request) => request.conversation?.prompts[0] === '[[hang]] abandoned');
  disconnected.abort();
  await assert.rejects(abandoned);
  const held = post('[[hang]] held');
  await standin.waitFor((request) => request.conversation?.prompts[0] === '[[hang]] held');
  standin.release();
  assert.equal((await held).status, 200);
});

test('breaks off mid-stream', async () => {
  const response = await post('[[die]]', { stream: true });
  assert.equal(response.status, 200);
  await assert.rejects(response.text());
});

test('counts tokens, and answers other requests harmlessly', async () => {
  const counted = await fetch(`${standin.url}/v1/messages/count_tokens`, {
    method: 'POST',
    body: JSON.stringify({ messages: [] }),
  });
  assert.deepEqual(await counted.json(), { input_tokens: 1 });
  assert.equal((await fetch(standin.url, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${standin.url}/api/whatever`)).status, 404);
  assert.equal((await fetch(`${standin.url}/v1/messages`, { method: 'POST', body: 'no JSON' })).status, 400);
});

test('a script replaces the prompt', async () => {
  const scripted = await startMessagesStandin({ script: () => '[[say:scripted]]' });
  try {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'x' }] });
    assert.match(await (await fetch(`${scripted.url}/v1/messages`, { method: 'POST', body })).text(), /scripted/);
  } finally {
    await scripted.stop();
  }
});

test('stop is idempotent and ends what hangs', async () => {
  const short = await startMessagesStandin();
  const body = JSON.stringify({ messages: [{ role: 'user', content: '[[hang]]' }] });
  const hanging = fetch(`${short.url}/v1/messages`, { method: 'POST', body });
  const refused = assert.rejects(hanging);
  await short.waitFor(() => true);
  const never = assert.rejects(
    short.waitFor(() => false),
    /stopped/,
  );
  await Promise.all([short.stop(), short.stop(), refused, never]);
});

const MAIN = join(fileURLToPath(import.meta.url), '../../../src/standin/messages/main.js');

for (const [how, end] of [
  ['SIGTERM', (child: ReturnType<typeof start>) => void child.kill('SIGTERM')],
  ['the end of stdin', (child: ReturnType<typeof start>) => void child.stdin.end()],
] as const) {
  test(`as a process it prints its address and ends at ${how}`, async () => {
    const child = start();
    const exit = once(child, 'exit');
    const output = readText(child.stdout);
    await once(child.stdout, 'readable');
    end(child);
    assert.deepEqual(await exit, [0, null]);
    assert.match(await output, /^\{"url":"http:\/\/127\.0\.0\.1:\d+"\}\n$/);
  });
}

function start() {
  return spawn(process.execPath, [MAIN], { stdio: ['pipe', 'pipe', 'inherit'], env: { PORT: '0' } });
}
