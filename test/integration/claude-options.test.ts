import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { CLAUDE_REAL, REPO_ROOT } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
const SECRET = 'canary-of-a-server-55d1';
/** A pixel. */
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

/** Begins as a PDF, and is none. */
const BROKEN_PDF = Buffer.from('%PDF-1.7 BROKEN').toString('base64');

describe('what a task asks of the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: MessagesStandin;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ksi-options-'));
    const servers = join(folder, 'servers.json');
    const fixture = {
      command: process.execPath,
      args: [join(REPO_ROOT, 'test/fixtures/mcp/server.mjs')],
      env: { FIXTURE_SECRET: SECRET },
    };
    const script = (code: string) => ({ command: process.execPath, args: ['-e', code] });
    const crashing = script('process.exit(3)');
    await writeFile(
      servers,
      JSON.stringify({
        fixture,
        foreign: { ...fixture, owners: ['ann'] },
        crashing,
        missing: { command: '/no/such/program' },
        unreachable: { type: 'http', url: 'http://127.0.0.1:9/mcp' },
        mute: script('setInterval(() => undefined, 1000)'),
        needed: { ...crashing, required: true },
      }),
    );
    api = await startMessagesStandin({
      deltaMs: 1,
      refuse: (body) => (JSON.stringify(body).includes(BROKEN_PDF) ? 'The PDF specified was not valid.' : undefined),
    });
    lab = await WorkerLab.start({
      KSI_CLAUDE_BIN: CLAUDE_REAL ?? '',
      KSI_MCP_SERVERS: servers,
      KSI_MCP_TIMEOUT_S: '3',
    });
    await lab.worker({
      env: { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' },
      containment,
    });
  });
  after(async () => {
    await lab.stop();
    await api.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const messagesOf = (taskId: string): Record<string, unknown>[] =>
    lab
      .of(taskId)
      .filter((event): event is StoredEvent<'SPAWN_MESSAGE'> => event.type === 'SPAWN_MESSAGE')
      .map(({ data }) => data.message as Record<string, unknown>);
  /** The last request that the Messages API was asked with this prompt, whole. */
  const askedWith = (marker: string): Record<string, unknown> =>
    (api.requests.findLast(({ conversation }) => conversation?.prompts.at(-1)?.includes(marker) === true)?.body ??
      {}) as Record<string, unknown>;
  const complete = async (prompt: string, command: Record<string, unknown> = {}, sessionId?: string) => {
    const posted = await lab.post(prompt, { command, ...(sessionId === undefined ? {} : { sessionId }) });
    const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(posted.taskId));
    return { ...posted, output: output ?? {}, messages: messagesOf(posted.taskId) };
  };

  it('reaches the model: system prompts, effort, model', async () => {
    await complete('PLAIN');
    assert.match(JSON.stringify(askedWith('PLAIN')['system']), /Claude Code/);
    await complete('APPENDED', { append_system_prompt: 'Speak like a pirate CANARY-A' });
    assert.match(JSON.stringify(askedWith('APPENDED')['system']), /Claude Code.*CANARY-A/s);
    await complete('REPLACED', { system_prompt: 'Only this CANARY-B', model: 'opus', effort: 'low' });
    const asked = askedWith('REPLACED');
    assert.match(JSON.stringify(asked['system']), /CANARY-B/);
    assert.match(String(asked['model']), /opus/);
    assert.match(JSON.stringify(asked['output_config'] ?? {}), /low/);
  });

  it('bounds it: turns', async () => {
    const { taskId } = await lab.post('[[tool:Read {"file_path":"/none"}]][[tool:Read {"file_path":"/none"}]]', {
      command: { max_turns: 1 },
    });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(taskId)).error.code, 'claude_max_turns');
  });

  it('bounds it: cost', async () => {
    const { taskId } = await lab.post('[[tool:Read {"file_path":"/none"}]][[tool:Read {"file_path":"/none"}]] dear', {
      command: { max_budget_usd: 0.000_001 },
    });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(taskId)).error.code, 'claude_max_budget');
  });

  it("bounds a task's own cost, whatever its session had cost before", async () => {
    const first = await complete('[[chars:20000]] a long answer');
    const cost = Number(first.output['total_cost_usd']);
    const second = await complete(
      '[[tool:Read {"file_path":"/none"}]] a short one',
      { max_budget_usd: cost * 0.6 },
      first.sessionId,
    );
    assert.ok(Number(second.output['total_cost_usd']) > cost, 'Claude counts on');
  });

  it('lets edits pass in the mode that says so, and nothing else', async () => {
    const edit = '[[tool:Write {"file_path":"note.txt","content":"x"}]][[tool:Bash {"command":"mkdir made"}]]';
    const { output } = await complete(edit, { permission_mode: 'acceptEdits' });
    const denied = (output['permission_denials'] as { tool_name: string }[]).map(({ tool_name: name }) => name);
    assert.ok(!denied.includes('Write'));
    const plan = await complete(edit, { permission_mode: 'plan' });
    assert.ok((plan.output['permission_denials'] as unknown[]).length > 0);
  });

  it('is shown what is attached', async () => {
    await complete('ATTACHED', {
      attachments: [
        { name: 'pixel.png', media_type: 'image/png', data: PNG },
        { name: 'notes.md', media_type: 'text/markdown', data: Buffer.from('TEXT-CANARY é').toString('base64') },
      ],
    });
    const asked = JSON.stringify(askedWith('ATTACHED')['messages']);
    assert.match(asked, /"type":"image"/);
    assert.match(asked, /TEXT-CANARY é/);
    assert.match(asked, /notes\.md/);
  });

  it('goes on with a session to which a document was attached that the Messages API refuses', async () => {
    const attachments = [{ name: 'broken.pdf', media_type: 'application/pdf', data: BROKEN_PDF }];
    const { sessionId } = await complete('BROKEN', { attachments });
    const refused = api.requests.filter(({ body }) => JSON.stringify(body).includes(BROKEN_PDF));
    assert.equal(refused.length, 1, 'Claude leaves it out from then on');
    const { output } = await complete('AND NOW', {}, sessionId);
    assert.match(String(output['result']), /AND NOW/);
    assert.equal(api.requests.filter(({ body }) => JSON.stringify(body).includes(BROKEN_PDF)).length, 1);
  });

  it('answers by a schema', async () => {
    const schema = { type: 'object', properties: { verdict: { type: 'string' } }, required: ['verdict'] };
    const { output } = await complete('[[tool:StructuredOutput {"verdict":"sound"}]] SCHEMA', {
      output_schema: schema,
    });
    assert.deepEqual(output['structured_output'], { verdict: 'sound' });
  });

  it('fails with an answer that does not fit the schema', async () => {
    const schema = { type: 'object', properties: { verdict: { type: 'string' } }, required: ['verdict'] };
    const wrong = '[[tool:StructuredOutput {"verdict":7}]]'.repeat(5);
    for (const [prompt, why] of [
      ['[[say:It is sound.]] IN WORDS', /no structured output/],
      [`${wrong} WRONG`, /5 attempts.*verdict: must be string/],
    ] as const) {
      const { taskId } = await lab.post(prompt, { command: { output_schema: schema } });
      const { error, attempt, output } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
      assert.equal(error.code, 'output_mismatch');
      assert.match(error.message, why);
      assert.equal(attempt, 1, 'it is not tried again by itself');
      assert.equal(output?.['type'], 'result');
    }
  });

  it('uses the servers that the operator keeps, whose secrets nobody sees', async () => {
    const asked = { mcp_servers: ['fixture'], allowed_tools: ['mcp__fixture__secret'] };
    const { messages, taskId } = await complete('[[tool:mcp__fixture__secret {}]] SERVER', asked);
    const init = messages.find(({ subtype }) => subtype === 'init');
    assert.deepEqual(
      ((init ?? {}) as { mcp_servers: { name: string }[] }).mcp_servers.map(({ name }) => name),
      ['fixture'],
    );
    const events = JSON.stringify([messages, lab.of(taskId)]);
    assert.match(events, /the server was told: \[redacted\]/);
    assert.ok(!events.includes(SECRET), 'also where a tool tells it');
    assert.ok(lab.of(taskId).length > 2);
    for (const name of ['foreign', 'none']) {
      const refused = await lab.post('x', { command: { mcp_servers: [name] } });
      assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(refused.taskId)).error.code, 'mcp_server_unknown');
    }
  });

  it('says what has become of each server, and does not wait long for one that is mute', async () => {
    const names = ['fixture', 'crashing', 'missing', 'unreachable', 'mute'];
    const { taskId } = await lab.post('STATES', { command: { mcp_servers: names } });
    const { mcp_servers: states = [] } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    assert.deepEqual(
      states.map(({ name, status }) => [name, status]),
      [
        ['fixture', 'connected'],
        ['crashing', 'failed'],
        ['missing', 'failed'],
        ['unreachable', 'failed'],
        ['mute', 'no_answer'],
      ],
    );
    assert.match(states.find(({ name }) => name === 'missing')?.error ?? '', /ENOENT|no such/i);
  });

  it('fails when a server does not connect that the operator calls required', async () => {
    const { taskId } = await lab.post('NEEDED', {
      command: { mcp_servers: ['fixture', 'needed'], policy: { max_attempts: 1 } },
    });
    const { error, mcp_servers: states } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.equal(error.code, 'mcp_server_failed');
    assert.match(error.message, /needed/);
    assert.deepEqual(
      states?.map(({ status }) => status),
      ['connected', 'failed'],
    );
  });

  it('leaves out deltas when they are not wanted', async () => {
    let deltas = 0;
    const subscription = lab.broker.nc.subscribe('ksi.live.>', { callback: () => void (deltas += 1) });
    await lab.broker.nc.flush();
    await complete('[[chars:2000]]', { include_deltas: false });
    assert.equal(deltas, 0);
    await complete('[[chars:2000]]');
    assert.ok(deltas > 0);
    subscription.unsubscribe();
  });

  it('forks a session, which itself stays as it was', async () => {
    const first = await complete('The word is KUMQUAT');
    const fork = await complete('FORKED', { fork_of: first.sessionId });
    assert.notEqual(fork.sessionId, first.sessionId);
    assert.match(JSON.stringify(askedWith('FORKED')['messages']), /KUMQUAT/);
    await complete('AGAIN', {}, fork.sessionId);
    assert.match(JSON.stringify(askedWith('AGAIN')['messages']), /KUMQUAT.*FORKED/s);
    await complete('ORIGIN', {}, first.sessionId);
    const origin = JSON.stringify(askedWith('ORIGIN')['messages']);
    assert.match(origin, /KUMQUAT/);
    assert.doesNotMatch(origin, /FORKED/);
    const none = await lab.post('x', { command: { fork_of: '0190c0de-0000-4000-8000-0000000000ff' } });
    assert.equal(dataOf('SPAWN_ERROR', await lab.outcome(none.taskId)).error.code, 'session_gone');
  });
});
