import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { check } from '../../contracts/wire/check.js';
import {
  claudeNameOf,
  AgentToolRequest,
  type AgentToolAnswer,
  type AgentToolName,
} from '../../contracts/agents/tools.js';
import { SUBJECT } from '../../contracts/wire/names.js';
import { parseJson } from '../../src/json.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
const TASK = '0199a1b2-c3d4-7e5f-8a6b-123456789abc';

describe('the agent tools of the real claude', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: MessagesStandin;
  let folder: string;
  /** What the workers have asked, and what they are answered. */
  const requests: { subject: string; request: AgentToolRequest }[] = [];
  let answer: (request: AgentToolRequest) => AgentToolAnswer | undefined = () => ({ ok: true, result: 'unasked' });
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ksi-agent_tools-'));
    const policy = join(folder, 'policy.json');
    await writeFile(policy, JSON.stringify({ owners: { strict: { deny: ['mcp__ksi__task_*'] } } }));
    api = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({
      KSI_CLAUDE_BIN: CLAUDE_REAL ?? '',
      KSI_TOOL_POLICY: policy,
      KSI_PROCESS: 'worker-1',
    });
    lab.broker.nc.subscribe(SUBJECT.agentToolsAll, {
      callback: (_error, message) => {
        const request = check(AgentToolRequest, parseJson(message.data));
        assert.ok(request.ok);
        requests.push({ subject: message.subject, request: request.value });
        const reply = answer(request.value);
        if (reply !== undefined) message.respond(JSON.stringify(reply));
      },
    });
    await lab.broker.nc.flush();
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

  const run = async (prompt: string, command: Record<string, unknown>) => {
    requests.length = 0;
    const { taskId } = await lab.post(prompt, { command });
    const { output } = dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    const request = api.requests.findLast(
      ({ conversation }) => conversation?.prompts.at(-1)?.includes(prompt) === true,
    );
    const { tools = [] } = (request?.body ?? {}) as { tools?: { name: string }[] };
    const agent_tools = tools.map(({ name }) => name).filter((name) => name.startsWith('mcp__ksi__'));
    return { taskId, result: String(output?.['result']), agent_tools };
  };
  const call = (tool: AgentToolName, input: object = {}): string =>
    `[[tool:${claudeNameOf(tool)} ${JSON.stringify(input)}]]`;

  it('are those that its agent was given, and a policy lets it have', async () => {
    assert.deepEqual((await run('NONE', {})).agent_tools, []);
    assert.deepEqual((await run('SOME', { agent_tools: ['agents', 'shared'] })).agent_tools.toSorted(), [
      'mcp__ksi__agents_list',
      'mcp__ksi__shared_get',
      'mcp__ksi__shared_set',
    ]);
    const strict = { owner: 'strict', agent_tools: ['agents', 'spawn'] };
    assert.deepEqual((await run('STRICT', strict)).agent_tools, ['mcp__ksi__agents_list']);
    assert.match((await run(call('task_spawn', { prompt: 'x' }), strict)).result, /No such tool|not available|denied/);
    assert.equal(requests.length, 0);
  });

  it('ask the API in the name of the task, without asking for permission, and hear its answers and refusals', async () => {
    answer = ({ input }) => ({ ok: true, result: { heard: input } });
    const { taskId, result } = await run(call('shared_get', { key: 'plan' }), { agent_tools: ['shared'] });
    assert.match(result, /\{"heard":\{"key":"plan"\}\}/);
    assert.deepEqual(
      requests.map(({ subject, request: { tool } }) => [subject, tool]),
      [[SUBJECT.agentTools('worker-1', taskId), 'shared_get']],
    );
    answer = () => ({ ok: false, code: 'not_found', message: 'There is no agent bob' });
    const refused = await run(call('message_send', { to: 'bob', content: 'x' }), { agent_tools: ['messages'] });
    assert.match(refused.result, /not_found: There is no agent bob/);
  });

  it('ask again when no answer comes, as the same call', async () => {
    let tries = 0;
    answer = () =>
      ++tries < 2 ? { ok: false, code: 'shutting_down', message: '', retryable: true } : { ok: true, result: 5 };
    assert.match((await run(call('agents_list'), { agent_tools: ['agents'] })).result, /“5”/);
    const [first, second] = requests.map(({ request }) => request.call_id);
    assert.deepEqual([requests.length, first], [2, second]);
  });

  it('wait for a task piece by piece', async () => {
    answer = ({ tool }) =>
      tool === 'task_spawn' || requests.length < 3
        ? { ok: true, result: { task_id: TASK, status: 'running', ended: false } }
        : { ok: true, result: { task_id: TASK, status: 'completed', ended: true, result: 'FORTY-TWO' } };
    const { result } = await run(call('task_spawn', { prompt: 'x', wait_s: 30 }), { agent_tools: ['spawn'] });
    assert.match(result, /FORTY-TWO/);
    assert.deepEqual(
      requests.map(({ request: { tool, input } }) => [tool, Object.keys(input as object).toSorted()]),
      [
        ['task_spawn', ['prompt']],
        ['task_wait', ['task_id', 'wait_s']],
        ['task_wait', ['task_id', 'wait_s']],
      ],
    );
  });
});
