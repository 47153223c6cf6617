import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { StoredEvent } from '../../contracts/events/events.js';
import type { SpawnCommand } from '../../contracts/tasks/spawn.js';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { UNAVAILABLE_TOOLS } from '../../workers/claude/unavailable-tools.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;

/** Every tool that the executable may offer. Each was read for promises that a task cannot keep (unavailable-tools.ts). */
const CHECKED = [
  'Task',
  'Bash',
  'Edit',
  'EnterWorktree',
  'ExitWorktree',
  'Glob',
  'Grep',
  'NotebookEdit',
  'Read',
  'Skill',
  'Write',
  'TaskStop',
  'TodoWrite',
  'ToolSearch',
  'WebFetch',
  'WebSearch',
  'EnterPlanMode',
  'ExitPlanMode',
  // Their work in the background is waited for; agents that a task cannot reach are not listed.
  'ListAgents',
  'Monitor',
  'SendMessage',
  'Workflow',
  // With `approvals` a person answers.
  'AskUserQuestion',
];

interface Init {
  readonly tools: readonly string[];
  readonly skills: readonly string[];
}

describe('the tools that the real claude is offered', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let model: MessagesStandin;
  before(async () => {
    model = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '' });
    await lab.worker({
      env: { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' },
      containment,
    });
  });
  after(async () => {
    await lab.stop();
    await model.stop();
  });

  async function initOf(prompt: string, command: Partial<SpawnCommand>): Promise<Init> {
    const { taskId } = await lab.post(prompt, { command });
    dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    const init = lab
      .of(taskId)
      .filter((event): event is StoredEvent<'SPAWN_MESSAGE'> => event.type === 'SPAWN_MESSAGE')
      .map(({ data }) => data.message as Record<string, unknown>)
      .find(({ subtype }) => subtype === 'init');
    return { tools: init?.['tools'] as string[], skills: init?.['skills'] as string[] };
  }

  for (const [name, command] of Object.entries<Partial<SpawnCommand>>({
    'as they are': {},
    'with approvals': { approvals: true },
    'in plan mode': { permission_mode: 'plan' },
    'although a task asks for others': { allowed_tools: ['CronCreate', 'ScheduleWakeup'] },
  }))
    it(`promise nothing that cannot happen, ${name}`, async () => {
      const { tools, skills } = await initOf(`hello, ${name}`, command);
      assert.ok(tools.includes('Read') && tools.includes('Bash'), String(tools));
      assert.deepEqual(
        tools.filter((tool) => !CHECKED.includes(tool)),
        [],
        'check what each of these promises, then add it to one of the two lists',
      );
      assert.ok(!skills.includes('loop'), String(skills));
    });

  it('name none of those that are not offered', async () => {
    await initOf('DESCRIBED', {});
    const { body } = model.requests.findLast(({ conversation }) => conversation?.prompts.at(-1) === 'DESCRIBED') ?? {};
    const described = JSON.stringify(body);
    for (const tool of UNAVAILABLE_TOOLS) assert.doesNotMatch(described, new RegExp(`\\b${tool}\\b`));
  });

  it('cannot be called by their names', async () => {
    const { taskId } = await lab.post('[[tool:CronCreate {"cron":"59 3 * * *","prompt":"x"}]] schedule it');
    dataOf('SPAWN_COMPLETE', await lab.outcome(taskId));
    const events = JSON.stringify(lab.of(taskId));
    assert.match(events, /No such tool available: CronCreate/);
    assert.doesNotMatch(events, /Next run/);
  });
});
