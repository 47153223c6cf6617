import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startMessagesStandin, type MessagesStandin } from '../../src/standin/messages/server.js';
import { findContainment } from '../../workers/claude/containment.js';
import { AgentsOver } from '../fixtures/agents.js';
import { ApiLab } from '../fixtures/api.js';
import { CLAUDE_REAL } from '../fixtures/paths.js';
import { WorkerLab } from '../fixtures/worker.js';

const skip = CLAUDE_REAL === undefined ? 'the Agent SDK brings no executable for this platform' : false;
const CANARY = 'CANARY-OF-A-FILE-THAT-NO-PROMPT-MAY-READ';

/** Claude Code acts on each of these in a prompt of its own users before it asks for any permission. */
const FORMS: readonly ((folder: string) => string)[] = [
  (folder) => `@${folder}/secret`,
  (folder) => `look at @"${folder}/secret" please`,
  (folder) => `@${folder}/secret#L1-1`,
  (folder) => `@${folder}/`,
  () => '@secret-link',
  () => '@./secret-link and @../secret',
  () => '@site:file:///secret-link',
  (folder) => `${folder}/picture.png`,
  () => '!touch sprung',
  () => '#remember this',
  () => '/clear',
  () => '/cost',
  () => '/model opus',
  () => '/init',
  () => '/evil a b',
];

describe('a prompt reaches the model as it was written', { skip }, async () => {
  const containment = await findContainment();
  let lab: WorkerLab;
  let api: ApiLab;
  let agents: AgentsOver;
  let model: MessagesStandin;
  let folder: string;
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'ksi-verbatim-')));
    await writeFile(join(folder, 'secret'), CANARY);
    await symlink(join(folder, 'secret'), join(folder, 'secret-link'));
    await writeFile(join(folder, 'picture.png'), CANARY);
    const workspaces = { KSI_WORKSPACES: `site=${folder}` };
    model = await startMessagesStandin({ deltaMs: 1 });
    lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', ...workspaces });
    api = await ApiLab.start(workspaces, { ...lab.server, stop: () => Promise.resolve() });
    agents = new AgentsOver(() => api.url);
    const env = { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
    await lab.worker({ env, containment, config: { KSI_CONCURRENCY: '4' } });
  });
  after(async () => {
    await api.stop();
    await lab.stop();
    await model.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Resolves when the model was told `text` exactly. */
  const told = (text: string): Promise<unknown> =>
    model.waitFor(({ conversation }) => conversation?.prompts.some((prompt) => prompt === text) === true);
  const untouched = (): void => {
    assert.ok(!JSON.stringify(model.requests).includes(CANARY), 'the model was shown a file that nobody gave it');
  };

  it('in a spawn', async () => {
    const prompts = FORMS.map((form) => form(folder));
    const tasks = await Promise.all(
      prompts.map(async (prompt) => (await api.spawn({ prompt, workspace: 'site' })).task_id),
    );
    await Promise.all(prompts.map((prompt) => told(prompt)));
    for (const id of tasks) await lab.outcome(id);
    untouched();
  });

  it('in a system prompt', async () => {
    for (const field of ['system_prompt', 'append_system_prompt']) {
      const { task_id: id } = await api.spawn({ prompt: 'hello', workspace: 'site', [field]: `@${folder}/secret` });
      await lab.outcome(id);
    }
    untouched();
  });

  it('in input to a running task', async () => {
    for (const text of [`@${folder}/secret`, '/clear', '!touch sprung']) {
      const begun = `[[delay:800]] before ${text}`;
      const { task_id: id } = await api.spawn({ prompt: begun, workspace: 'site' });
      await told(begun);
      const answer = await api.request(`/tasks/${id}/input`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text }),
      });
      assert.equal(answer.status, 202);
      await told(text);
      await lab.outcome(id);
    }
    untouched();
  });

  it('in a message to a managed agent', async () => {
    await agents.register({ agent_id: 'reader', kind: 'managed', options: { workspace: 'site' } });
    const asked = model.requests.length;
    const content = `@${folder}/secret and /cost`;
    await agents.ask('POST', '/messages', { to: 'reader', content });
    const request = await model.waitFor((each) => JSON.stringify(each).includes('and /cost'));
    assert.ok(JSON.stringify(request).includes(content) && model.requests.length > asked);
    untouched();
  });
});
