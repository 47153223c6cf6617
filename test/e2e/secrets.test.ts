import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { request } from 'undici';
import type { TokenCreated } from '../../contracts/index.js';
import { partsOf } from '../../src/api/tokens/secret.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';

const API_KEY = 'sk-ant-canary-8f1d0c5b7e';
const PROMPT = 'canary-of-a-prompt-31c9';
const FOREIGN = 'canary-of-the-shell-77aa';

/** Secrets are planted, the system is used, well and badly, and then they are looked for wherever somebody may look. */
describe('secrets', () => {
  let standin: MessagesStandin;
  let cluster: TestCluster;
  let made: TokenCreated;
  let nkeys: string[] = [];
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
      await answer.body.dump();
      return answer.statusCode;
    };
    assert.equal(await spawn({ prompt: PROMPT }), 200);
    assert.equal(await spawn({ prompt: `${PROMPT} [[error:401]]` }), 200);
    // Faults that may be told with what caused them.
    assert.equal(await spawn(`{"prompt":"${PROMPT}`), 400);
    assert.equal(await spawn({ prompt: 5, [PROMPT]: true }), 400);
    assert.equal(await spawn({ prompt: PROMPT }, `${made.token}x`), 401);
    assert.equal(await spawn({ prompt: PROMPT }, made.token, { origin: `https://${PROMPT}.example` }), 403);
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
      assert.equal(text.includes(secret), false, `${what} stands in ${where}`);
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
  });

  it('stand in no event and no answer', async () => {
    const tasks = await cluster.ksi(['tasks', '-o', 'json']);
    const events = [];
    for (const { task_id: id } of JSON.parse(tasks.stdout) as { task_id: string }[])
      events.push((await cluster.ksi(['logs', id, '-o', 'jsonl'])).stdout);
    assert.match(events.join(''), /SPAWN_COMPLETE/);
    const tokens = await cluster.ksi(['tokens', 'list', '-o', 'json']);
    const config = await request(`${cluster.url}/health`);
    assertFree([...events, tasks.stdout, tokens.stdout, await config.body.text()].join('\n'), 'an answer');
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

const filesBelow = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
