import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Task } from '../../contracts/tasks/task.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { AgentsOver } from '../fixtures/agents.js';
import { startApiOn, type ApiOn } from '../fixtures/api-on.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;

describe('agents of the real claude that wait for tasks of their own', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: ApiOn;
  let messages: MessagesStandin;
  let here: AgentsOver;
  let site: string;
  before(async () => {
    messages = await startMessagesStandin({ deltaMs: 1 });
    site = await realpath(await mkdtemp(join(tmpdir(), 'ksi-waiting-')));
    const workspaces = { KSI_WORKSPACES: `site=${site}` };
    const config = { KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', KSI_PROCESS: 'worker-1', KSI_CONCURRENCY: '2' };
    lab = await WorkerLab.start({ ...config, ...workspaces });
    api = await startApiOn(lab.server.url, workspaces);
    here = new AgentsOver(() => api.url);
    const env = { ANTHROPIC_BASE_URL: messages.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    await lab.worker({ env, containment });
  });
  after(async () => {
    await api.stop();
    await lab.stop();
    await messages.stop();
    await rm(site, { recursive: true, force: true });
  });

  it('get their results even if they occupy every slot of the cluster', async () => {
    await here.register({ agent_id: 'asker' });
    const bosses = ['boss-1', 'boss-2', 'boss-3'];
    for (const agent_id of bosses) await here.register({ agent_id, kind: 'managed', agent_tools: ['spawn'] });
    const call = `[[tool:mcp__ksi__task_spawn ${JSON.stringify({ prompt: 'Say MANGO', wait_s: 120 })}]]`;
    for (const to of bosses) await here.send({ from: 'asker', to, content: `Find out. ${call}` });
    const answers: string[] = [];
    while (answers.length < bosses.length) {
      const found = await here.inbox('asker', '?wait=60');
      answers.push(...found.map(({ content = '' }) => content));
      await here.ack('asker', found.at(-1)?.seq ?? assert.fail('no answer'));
    }
    for (const answer of answers) assert.match(answer, /"status":"completed","ended":true,"result":"[^]*Say MANGO/);
    const { body } = await here.ask('GET', '/tasks?limit=100');
    const tasks = body['items'] as { task_id: string; spawned_by?: string }[];
    const parent = tasks.find(({ spawned_by: by }) => by !== undefined)?.spawned_by;
    const children = (await here.ask('GET', `/tasks?spawned_by=${parent}`)).body as {
      items: { spawned_by: string }[];
      total: { tasks: number; open: number; usage: { cost_usd: number } };
    };
    assert.deepEqual([children.items.map(({ spawned_by: by }) => by), children.total.tasks], [[parent], 1]);
    assert.ok(children.total.usage.cost_usd > 0);
  });

  it('lend them the workspace in which they write', async () => {
    await here.register({
      agent_id: 'builder',
      kind: 'managed',
      agent_tools: ['spawn'],
      options: { workspace: 'site' },
    });
    const call = `[[tool:mcp__ksi__task_spawn ${JSON.stringify({ prompt: 'Say PAPAYA', wait_s: 120 })}]]`;
    await here.send({ from: 'asker', to: 'builder', content: `Find out. ${call}` });
    const [answer] = await here.inbox('asker', '?wait=60');
    assert.match(answer?.content ?? '', /"status":"completed","ended":true,"result":"[^]*Say PAPAYA/);
    const { items: tasks } = (await here.ask('GET', '/tasks?limit=2')).body as { items: Task[] };
    const [child, parent] = tasks;
    assert.deepEqual([child?.spawned_by, child?.workspace, parent?.workspace], [parent?.task_id, 'site', 'site']);
  });
});
