import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { query, type Options, type Query, type SDKMessage, type SessionStore } from '@anthropic-ai/claude-agent-sdk';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';

/** What the worker relies on of the real executable: when a new SDK changes one of these, this file says so first. */

let standin: MessagesStandin;
let folder: string;

before(async () => {
  assert.ok(
    CLAUDE_REAL,
    'The Agent SDK has no claude executable for this platform: run `npm ci` without --omit=optional.',
  );
  folder = await mkdtemp(join(tmpdir(), 'ksi-claude-real-'));
  standin = await startMessagesStandin({ deltaMs: 1 });
});

after(async () => {
  await standin.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly messages: readonly SDKMessage[];
  readonly result: Extract<SDKMessage, { type: 'result' }> | undefined;
  /** What the SDK's iterator threw, which it also does after an error result. */
  readonly thrown: Error | undefined;
  readonly code: number | null;
  readonly stderr: string;
}

interface Extra {
  readonly options?: Options;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The configuration folder; a new one unless said. */
  readonly home?: string;
  /** Done once the stand-in has been asked. */
  readonly onAsked?: (running: Query, child: ChildProcess) => unknown;
}

async function run(prompt: string, { options = {}, env = {}, home, onAsked }: Extra = {}): Promise<Run> {
  const HOME = home ?? (await mkdtemp(join(folder, 'home-')));
  const turn = new EventEmitter();
  const ended = once(turn, 'ended');
  let exited: Promise<unknown[]> | undefined;
  let child: ChildProcess | undefined;
  let stderr = '';
  async function* prompts() {
    yield { type: 'user' as const, message: { role: 'user' as const, content: prompt }, parent_tool_use_id: null };
    await ended;
  }
  const running = query({
    prompt: prompts(),
    options: {
      model: 'sonnet',
      cwd: folder,
      settingSources: [],
      env: {
        PATH: process.env['PATH'],
        HOME,
        CLAUDE_CONFIG_DIR: join(HOME, 'config'),
        ANTHROPIC_BASE_URL: standin.url,
        ANTHROPIC_API_KEY: 'not-a-key',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        CLAUDE_CODE_MAX_RETRIES: '0',
        ...env,
      },
      spawnClaudeCodeProcess: ({ command, args, cwd, env }) => {
        const spawned = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
        spawned.stderr.setEncoding('utf8').on('data', (data: string) => (stderr += data));
        exited = once(spawned, 'exit');
        child = spawned;
        return spawned;
      },
      ...options,
    },
  });
  const messages: SDKMessage[] = [];
  let result: Run['result'];
  let thrown: Error | undefined;
  try {
    for await (const message of running) {
      messages.push(message);
      if (message.type === 'system' && message.subtype === 'init' && onAsked !== undefined && child !== undefined) {
        await standin.waitFor((request) => request.conversation?.prompts.at(-1) === prompt);
        await onAsked(running, child);
      }
      if (message.type !== 'result') continue;
      result = message;
      turn.emit('ended');
    }
  } catch (error) {
    thrown = error as Error;
  } finally {
    turn.emit('ended');
  }
  const [code] = (await exited) as [number | null];
  return { messages, result, thrown, code, stderr };
}

const kinds = (messages: readonly SDKMessage[]) =>
  messages.map((message) => (message.type === 'system' ? `system/${message.subtype}` : message.type));

const answer = (result: Run['result']) => (result?.subtype === 'success' ? result.result : undefined);

const toolResults = ({ messages }: Run) => JSON.stringify(messages.filter((message) => message.type === 'user'));

test('a plain answer takes one request, and the prompt may begin with a dash', async () => {
  const before = standin.requests.length;
  const ran = await run('--help: a plain question');
  assert.deepEqual(kinds(ran.messages), ['system/init', 'assistant', 'result']);
  assert.match(answer(ran.result) ?? '', /KSI's stand-in.*--help: a plain question/);
  assert.deepEqual([ran.code, ran.thrown, ran.stderr], [0, undefined, '']);
  assert.deepEqual(
    standin.requests.slice(before).map((request) => `${request.method} ${request.path}`),
    ['POST /v1/messages'],
  );
});

test('deltas come when asked for, and add up to the answer', async () => {
  const ran = await run('[[chars:5000]]', { options: { includePartialMessages: true } });
  const deltas = ran.messages.flatMap((message) =>
    message.type === 'stream_event' &&
    message.event.type === 'content_block_delta' &&
    message.event.delta.type === 'text_delta'
      ? [message.event.delta.text]
      : [],
  );
  assert.ok(deltas.length > 3);
  assert.equal(deltas.join(''), answer(ran.result));
});

test('an allowed tool runs', async () => {
  const allowed = await run('[[tool:Bash {"command":"touch allowed && echo it ran"}]]', {
    options: { allowedTools: ['Bash'] },
  });
  assert.deepEqual(kinds(allowed.messages), ['system/init', 'assistant', 'user', 'assistant', 'result']);
  assert.match(toolResults(allowed), /it ran/);
  assert.deepEqual(allowed.result?.permission_denials, []);
});

test('a tool that needs permission is denied at once, and the turn goes on', async () => {
  const denied = await run('[[tool:Bash {"command":"touch denied"}]] please');
  assert.deepEqual(kinds(denied.messages).slice(1), [
    'assistant',
    'system/permission_denied',
    'user',
    'assistant',
    'result',
  ]);
  assert.equal(denied.result?.is_error, false);
  assert.deepEqual(
    denied.result.permission_denials.map(({ tool_name, tool_input }) => ({ tool_name, tool_input })),
    [{ tool_name: 'Bash', tool_input: { command: 'touch denied' } }],
  );
});

test('canUseTool is asked, and its words reach the model', async () => {
  const asked: string[] = [];
  const ran = await run('[[tool:Bash {"command":"touch asked"}]]', {
    options: {
      canUseTool: (name) => {
        asked.push(name);
        return Promise.resolve({ behavior: 'deny', message: 'not on a Monday' });
      },
    },
  });
  assert.deepEqual(asked, ['Bash']);
  assert.match(toolResults(ran), /not on a Monday/);
});

for (const [status, error] of [
  [400, 'unknown'],
  [401, 'authentication_failed'],
  [404, 'model_not_found'],
  [429, 'rate_limit'],
  [500, 'server_error'],
  [529, 'server_error'],
] as const) {
  test(`the API's ${status} is an error inside a success, exit code 1, and then a throw`, async () => {
    const ran = await run(`[[status:${status}]]`);
    assert.ok(ran.result?.subtype === 'success');
    assert.deepEqual([ran.result.is_error, ran.result.api_error_status, ran.code], [true, status, 1]);
    assert.match(ran.thrown?.message ?? '', /returned an error result/);
    const said = ran.messages.find((message) => message.type === 'assistant');
    assert.deepEqual([said?.error, said?.message.model], [error, '<synthetic>']);
  });
}

test('its own retries are bounded by CLAUDE_CODE_MAX_RETRIES and told', async () => {
  const ran = await run('[[status:529 times=1]] again', { env: { CLAUDE_CODE_MAX_RETRIES: '1' } });
  assert.deepEqual(kinds(ran.messages), ['system/init', 'system/api_retry', 'assistant', 'result']);
  assert.equal(ran.result?.is_error, false);
});

test('a cut connection is an error without a status', async () => {
  const ran = await run('[[die]]');
  assert.ok(ran.result?.subtype === 'success');
  assert.deepEqual([ran.result.is_error, ran.result.api_error_status, ran.code], [true, null, 1]);
});

test('without credentials it asks nobody and says so', async () => {
  const before = standin.requests.length;
  const ran = await run('hello', { env: { ANTHROPIC_API_KEY: undefined } });
  const init = ran.messages.find((message) => message.type === 'system' && message.subtype === 'init');
  assert.equal(init?.type === 'system' && init.subtype === 'init' && init.apiKeySource, 'none');
  assert.equal(ran.messages.find((message) => message.type === 'assistant')?.error, 'authentication_failed');
  assert.match(answer(ran.result) ?? '', /Not logged in/);
  assert.equal(standin.requests.length, before);
});

test('SIGTERM ends it with 143 and no result', async () => {
  const ran = await run('[[hang]] until SIGTERM', { onAsked: (_, child) => child.kill('SIGTERM') });
  assert.deepEqual([ran.code, ran.result], [143, undefined]);
  assert.match(ran.thrown?.message ?? '', /code 143/);
});

test('an interrupt ends the turn with a result', async () => {
  const ran = await run('[[hang]] until interrupted', { onAsked: (running) => running.interrupt() });
  assert.deepEqual([ran.result?.subtype, ran.result?.terminal_reason], ['error_during_execution', 'aborted_streaming']);
});

test('too many turns are a result of their own', async () => {
  const ran = await run('[[tool:Read {"file_path":"/none"}]][[tool:Read {"file_path":"/none"}]]', {
    options: { maxTurns: 1 },
  });
  assert.deepEqual([ran.result?.subtype, ran.code], ['error_max_turns', 1]);
});

test('an unknown session is refused without an init', async () => {
  const ran = await run('hello', { options: { resume: randomUUID() } });
  assert.deepEqual(kinds(ran.messages), ['result']);
  assert.ok(ran.result?.subtype === 'error_during_execution');
  assert.match(ran.result.errors.join(), /No conversation found with session ID/);
});

test('a session id that the configuration folder has already is refused on stderr alone', async () => {
  const home = await mkdtemp(join(folder, 'home-'));
  const sessionId = randomUUID();
  await run('first', { home, options: { sessionId } });
  const again = await run('second', { home, options: { sessionId } });
  assert.deepEqual([again.messages, again.code], [[], 1]);
  assert.match(again.stderr, /already in use/);
});

test('a session store carries a session from one configuration folder to another', async () => {
  const sessionId = randomUUID();
  const { store, keys, entries } = memoryStore();
  await run('Remember the pears', { options: { sessionId, sessionStore: store } });
  const stored = entries.length;
  assert.ok(stored > 2);
  const resumed = await run('What did I say before?', { options: { resume: sessionId, sessionStore: store } });
  assert.match(answer(resumed.result) ?? '', /1\. Remember the pears/);
  assert.ok(entries.length > stored);
  const projectKey = folder.replaceAll(/[^A-Za-z0-9]/g, '-');
  assert.deepEqual([...keys], [JSON.stringify({ projectKey, sessionId })]);
});

test('a store that refuses is told of before the result', async () => {
  const { store } = memoryStore();
  const refusing = { ...store, append: () => Promise.reject(new Error('refused')) };
  const ran = await run('hello', { options: { sessionStore: refusing } });
  const seen = kinds(ran.messages);
  assert.ok(seen.includes('system/mirror_error'));
  assert.ok(seen.indexOf('system/mirror_error') < seen.indexOf('result'));
});

function memoryStore() {
  const entries: Parameters<SessionStore['append']>[1] = [];
  const keys = new Set<string>();
  const store: SessionStore = {
    append: (key, batch) => {
      keys.add(JSON.stringify(key));
      entries.push(...batch);
      return Promise.resolve();
    },
    load: (key) => {
      keys.add(JSON.stringify(key));
      return Promise.resolve(entries.length === 0 ? null : entries);
    },
  };
  return { store, keys, entries };
}
