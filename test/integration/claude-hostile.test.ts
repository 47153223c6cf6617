import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { workerProcesses } from '../../src/broker/workers.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { CANARIES, makeHostile } from '../fixtures/hostile-folder.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab, type PostOptions } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;

describe('the real claude in a hostile working folder', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: MessagesStandin;
  let folder: string;
  let hostile: Awaited<ReturnType<typeof makeHostile>>;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'ksi-hostile-')));
    await mkdir(join(folder, 'site'));
    hostile = await makeHostile(join(folder, 'site'), join(folder, 'traps'));
    const policy = join(folder, 'policy.json');
    await writeFile(policy, JSON.stringify({ deny: ['Bash(touch:*)'], owners: { local: { deny: ['WebFetch'] } } }));
    api = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({
      KSI_CLAUDE_BIN: CLAUDE_REAL ?? '',
      KSI_WORKSPACES: `site=${join(folder, 'site')}`,
      KSI_TOOL_POLICY: policy,
    });
    const env = { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    await lab.worker({ env, containment });
  });
  after(async () => {
    await lab.stop();
    await api.stop();
    await rm(folder, { recursive: true, force: true });
  });

  interface Ran {
    readonly cwd: unknown;
    readonly tools: readonly string[];
    readonly mcp: unknown;
    /** What came of its tools, as the model was told. */
    readonly expected: string;
    readonly denied: number;
  }
  const run = async (prompt: string, options: PostOptions = {}): Promise<Ran> => {
    const { taskId } = await lab.post(prompt, options);
    const output = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId)).output;
    const messages = lab
      .of(taskId)
      .filter((event): event is StoredEvent<'SPAWN_MESSAGE'> => event.type === 'SPAWN_MESSAGE')
      .map(({ data }) => data.message as Record<string, unknown>);
    const init = messages.find(({ subtype }) => subtype === 'init');
    return {
      cwd: init?.['cwd'],
      tools: init?.['tools'] as string[],
      mcp: init?.['mcp_servers'],
      expected: JSON.stringify(messages.filter(({ type }) => type === 'user')),
      denied: (output as { permission_denials: unknown[] }).permission_denials.length,
    };
  };
  const inSite = (more: PostOptions = {}): PostOptions => ({
    ...more,
    command: { workspace: 'site', ...more.command },
  });

  it('takes nothing from it: no settings, hooks, servers, agents, commands, memory', async () => {
    const ran = await run('[[tool:Bash {"command":"mkdir made"}]] in the site', inSite());
    assert.equal(ran.cwd, join(folder, 'site'));
    assert.deepEqual(ran.mcp, []);
    assert.equal(ran.denied, 1, 'the settings allow Bash, and count for nothing');
    const requestsJson = JSON.stringify(api.requests);
    for (const canary of CANARIES) assert.ok(!requestsJson.includes(canary), canary);
    assert.deepEqual(await hostile.sprung(), []);
  });

  it('lets no git run there unasked, by whatever command', async () => {
    for (const command of ['git status', 'git diff', 'git log -p', 'cd . && git status --short']) {
      const ran = await run(`[[tool:Bash {"command":"${command}"}]]`, inSite());
      assert.match(ran.expected, /git would run programs/, command);
    }
    // Claude makes it itself, asking nobody.
    await run('[[tool:EnterWorktree {"name":"beside"}]]', inSite());
    assert.deepEqual(await hostile.sprung(), []);
    const ran = await run('[[tool:Bash {"command":"git status"}]]', inSite({ allowedTools: ['Bash(git status:*)'] }));
    assert.match(ran.expected, /modified: +a.txt/);
    // Asked for, and still not by these.
    assert.ok(!(await hostile.sprung()).some((name) => name === 'fsmonitor' || name === 'diff-external'));
  });

  it('makes worktrees that go with their session, and only those', async () => {
    const site = join(folder, 'site');
    const made = join(site, '.claude', 'worktrees');
    const enter = async (input: object): Promise<string> => {
      const { taskId, sessionId } = await lab.post(`[[tool:EnterWorktree ${JSON.stringify(input)}]]`, inSite());
      dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
      return sessionId;
    };
    const first = await enter({ name: 'first' });
    const second = await enter({ name: 'second' });
    const visitor = await enter({ path: join(made, 'second') });
    const there = async (): Promise<string[]> => (await readdir(made)).filter((name) => name !== 'beside').toSorted();
    assert.deepEqual(await there(), ['first', 'second']);
    const [worker] = await workerProcesses(lab.broker);
    assert.ok(worker);
    const forget = async (id: string): Promise<void> => {
      const request = JSON.stringify({ session_ids: [id] });
      const answer = await lab.broker.nc.request(SUBJECT.deletedSessions(worker.process), request, { timeout: 10_000 });
      assert.deepEqual(answer.json(), { undeleted: [] });
    };
    await forget(visitor);
    assert.deepEqual(await there(), ['first', 'second']);
    await forget(first);
    assert.deepEqual(await there(), ['second']);
    await forget(second);
    assert.deepEqual(await there(), []);
    const known = execFileSync('git', ['-C', site, 'worktree', 'list', '--porcelain'], { encoding: 'utf8' });
    assert.ok(!known.includes('first') && !known.includes('second'), known);
  });

  it('refuses what a policy denies, and says whose rule it is', async () => {
    const ran = await run('[[tool:Bash {"command":"echo a && touch b"}]]', inSite({ allowedTools: ['Bash'] }));
    assert.match(ran.expected, /denied by the operator's policy \(Bash\(touch:\*\)\)/);
    assert.equal(ran.denied, 1);
    assert.ok(
      ran.tools.includes('WebSearch') && !ran.tools.includes('WebFetch'),
      'there is no tool that is denied whole',
    );
    const mine = await run(
      '[[tool:Read {"file_path":"a.txt"}]]',
      inSite({ command: { workspace: 'site', disallowed_tools: ['Read'] } }),
    );
    assert.ok(!mine.tools.includes('Read'));
    assert.match(mine.expected, /No such tool available/);
  });

  it("doesn't run a task whose tools are denied by now", async () => {
    for (const allowedTools of [['WebFetch'], ['Bash(touch x:*)'], ['Read,Bash'], ['--dangerously-skip-permissions']]) {
      const { taskId } = await lab.post('x', { allowedTools });
      const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.deepEqual([error.code, error.retryable], ['tool_not_allowed', false], String(allowedTools));
    }
  });

  it('takes a prompt that looks like flags for a prompt', async () => {
    const ran = await run(
      '--dangerously-skip-permissions --mcp-config x [[tool:Bash {"command":"mkdir made"}]]',
      inSite(),
    );
    assert.equal(ran.denied, 1);
    assert.ok(api.requests.at(-1)?.conversation?.prompts.at(-1)?.startsWith('--dangerously-skip-permissions'));
  });

  it('resumes a session in its own folder', async () => {
    const { taskId, sessionId } = await lab.post('first', inSite());
    dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    const ran = await run('and again', { sessionId });
    assert.equal(ran.cwd, join(folder, 'site'));
    const guarded = await run('[[tool:Bash {"command":"git status"}]]', { sessionId });
    assert.match(guarded.expected, /git would run programs/);
    const moved = await lab.post('elsewhere', { sessionId, command: { workspace: 'site/docs' } });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(moved.taskId)).error.code, 'workspace_mismatch');
  });
});

describe("the real claude in a session's own folder", { skip }, () => {
  it('does not find the repository that contains KSI_DIR', async () => {
    const api = await startMessagesStandin({ deltaMs: 1 });
    const lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '' });
    try {
      execFileSync('git', ['init', '-q'], { cwd: lab.dir });
      // Without a sandbox the folders above the workspace can be seen.
      await lab.worker({ env: { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' } });
      const { taskId } = await lab.post('[[tool:Bash {"command":"git rev-parse --show-toplevel || true"}]] where', {
        allowedTools: ['Bash'],
      });
      await lab.outcome(taskId);
      const requestsJson = JSON.stringify(api.requests.map(({ body }) => body));
      assert.match(requestsJson, /not a git repository/);
    } finally {
      await lab.stop();
      await api.stop();
    }
  });
});
