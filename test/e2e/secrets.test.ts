import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import type { TokenCreated } from '../../contracts/index.js';
import { partsOf } from '../../src/access/tokens/secret.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

const API_KEY = 'sk-ant-canary-8f1d0c5b7e';
const PROMPT = 'canary-of-a-prompt-31c9';
const FOREIGN = 'canary-of-the-shell-77aa';
const SLOW = '0198c000-0000-4000-8000-000000000abc';

/** Secrets are planted, the system is used, well and badly, and then they are looked for wherever somebody may look. */
describe('secrets', () => {
  let standin: MessagesStandin;
  let cluster: TestCluster;
  let made: TokenCreated;
  let nkeys: string[] = [];
  /** Bodies of answers, refusals too. */
  const answers: string[] = [];
  const running: string[] = [];
  before(async () => {
    standin = await startMessagesStandin();
    cluster = await startCluster({
      KSI_LOG_LEVEL: 'trace',
      ANTHROPIC_BASE_URL: standin.url,
      ANTHROPIC_API_KEY: API_KEY,
      AWS_SECRET_ACCESS_KEY: FOREIGN,
    });
    made = JSON.parse((await cluster.ksi(['tokens', 'create', '--owner', 'ann', '-o', 'json'])).stdout) as TokenCreated;
    nkeys = filesBelow(cluster.dir)
      .filter((file) => file.endsWith('.nk'))
      .map((file) => readFileSync(file, 'utf8').trim());
    const spawn = async (body: unknown, token = made.token, more: Record<string, string> = {}): Promise<number> => {
      const answer = await request(`${cluster.url}/spawn?wait=60`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...more },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      answers.push(await answer.body.text());
      return answer.statusCode;
    };
    assert.equal(await spawn({ prompt: PROMPT }), 200);
    assert.equal(await spawn({ prompt: `${PROMPT} [[status:401]]`, max_attempts: 1 }), 200);
    // Claude itself is made to say all that it knows, and to put it into what a fault is told with.
    const env = '[[tool:Bash {"command":"env; env >&2; exit 3"}]]';
    assert.equal(await spawn({ prompt: `${PROMPT} ${env}`, allowed_tools: ['Bash'] }), 200);
    const slow = spawn({ prompt: `${PROMPT} [[delay:20000]]`, session_id: SLOW, system_prompt: PROMPT });
    while (running.length === 0) {
      await sleep(20);
      running.push(...commandLines().filter((line) => line.includes(SLOW)));
    }
    running.push(...commandLines());
    const tasks = JSON.parse((await cluster.ksi(['tasks', '-o', 'json'])).stdout) as {
      task_id: string;
      status: string;
    }[];
    for (const { task_id: id, status } of tasks)
      if (status === 'running' || status === 'queued') await cluster.ksi(['cancel', id]);
    assert.equal(await slow, 200);
    // Faults that may be told with what caused them.
    assert.equal(await spawn(`{"prompt":"${PROMPT}`), 400);
    assert.equal(await spawn({ prompt: 5, [PROMPT]: true }), 400);
    assert.equal(await spawn({ prompt: PROMPT }, `${made.token}x`), 401);
    assert.equal(await spawn({ prompt: PROMPT }, made.token, { origin: `https://${PROMPT}.example` }), 403);
    answers.push(
      await say(cluster.url, `GET /tasks HTTP/1.1\r\nAuthorization: Bearer ${made.token}\r\nno header\r\n\r\n`),
    );
  });
  after(async () => {
    await cluster.stop();
    await standin.stop();
  });

  /** What nobody may find. */
  const secrets = (): [string, string][] => [
    ['the API key', API_KEY],
    ['a variable of the shell', FOREIGN],
    ["the cluster's token", cluster.token],
    ["a token's secret", partsOf(made.token)?.secret ?? made.token],
    ...nkeys.map((key, index): [string, string] => [`NKey seed ${index}`, key]),
  ];
  const assertFree = (text: string, where: string, also: readonly [string, string][] = []): void => {
    for (const [what, secret] of [...secrets(), ...also])
      for (const form of formsOf(secret)) assert.equal(text.includes(form), false, `${what} stands in ${where}`);
  };

  it('stand in no log; nor do prompts', () => {
    const logs = filesBelow(join(cluster.dir, 'logs'));
    assert.ok(logs.length >= 3);
    for (const file of logs) assertFree(readFileSync(file, 'utf8'), file, [['a prompt', PROMPT]]);
  });

  it('stand in no argument of a process, where `ps` shows them', async () => {
    const status = JSON.parse((await cluster.ksi(['status', '-o', 'json'])).stdout) as { processes: { pid: number }[] };
    assert.ok(status.processes.length >= 3);
    for (const { pid } of status.processes)
      assertFree(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), `the arguments of ${pid}`, [['a prompt', PROMPT]]);
    assert.ok(running.some((line) => line.includes('--session-id')));
    for (const line of running) assertFree(line, 'an argument while Claude runs', [['a prompt', PROMPT]]);
  });

  it('stand in no event and no answer', async () => {
    const tasks = await cluster.ksi(['tasks', '-o', 'json']);
    const events = [];
    for (const { task_id: id } of JSON.parse(tasks.stdout) as { task_id: string }[])
      events.push((await cluster.ksi(['logs', id, '-o', 'jsonl'])).stdout);
    assert.match(events.join(''), /SPAWN_COMPLETE/);
    assert.match(events.join(''), /ANTHROPIC_API_KEY=\[redacted\]/, 'Claude did say all that it knows');
    const tokens = await cluster.ksi(['tokens', 'list', '-o', 'json']);
    const config = await request(`${cluster.url}/health`);
    assertFree([...answers, ...events, tasks.stdout, tokens.stdout, await config.body.text()].join('\n'), 'an answer');
    for (const { session_id: session } of JSON.parse(tasks.stdout) as { session_id: string }[])
      for (const format of ['jsonl', 'markdown']) {
        const transcript = await request(`${cluster.url}/sessions/${session}/transcript?format=${format}`, {
          headers: { authorization: `Bearer ${cluster.token}` },
        });
        assertFree(await transcript.body.text(), 'a transcript');
      }
  });

  it('stand in no file of the cluster that others may read, nor where they need not be', () => {
    for (const file of filesBelow(cluster.dir)) {
      const { mode } = statSync(file);
      assert.equal(mode & 0o077, 0, `${file} may be read by others (${(mode & 0o777).toString(8)})`);
      if (file.endsWith('.nk') || file.endsWith('/token')) continue;
      const bytes = readFileSync(file);
      for (const [what, secret] of secrets()) assert.equal(bytes.includes(secret), false, `${what} stands in ${file}`);
    }
  });
});

/** As it is, and as what logs make of bytes. */
const formsOf = (secret: string): string[] => [
  secret,
  Buffer.from(secret).toString('base64').replace(/.?=*$/, ''),
  Buffer.from(secret).toString('hex'),
  [...Buffer.from(secret)].join(','),
];

/** Of all processes that there are. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return []; // It has ended.
      }
    });
}

/** What is answered to something that is no proper request. */
function say(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    let output = '';
    const socket = connect(Number(port), hostname, () => socket.end(text));
    socket.setEncoding('utf8').on('data', (data: string) => (output += data));
    socket.on('error', reject);
    socket.on('close', () => resolve(output));
  });
}

const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
