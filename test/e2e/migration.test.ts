import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePort } from '../fixtures/broker.js';
import { KSI, testEnvironment } from '../fixtures/cluster.js';
import { LegacyClient } from '../fixtures/legacy.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { without } from '../fixtures/tools.js';

const WITH_TRANSCRIPT = '11111111-1111-4111-8111-111111111111';
const OF_ITS_LOG = '22222222-2222-4222-8222-222222222222';
const DAMAGED = '9d0f3a52-6c1b-4d5e-8f70-2b3c4d5e6f70';
const UUID = '33333333-3333-4333-8333-333333333333';

describe('docs/migration.md', { skip: without('python3') }, () => {
  let home: string;
  let env: Record<string, string>;
  let daemon: LegacyClient;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'ksi-move-'));
    await writeOldFolder(home);
    env = await environment(home);
    daemon = new LegacyClient(
      '',
      'old_daemon.py',
      join(home, 'old', 'sockets', 'claude_daemon.sock'),
      join(home, 'old'),
    );
    await daemon.until((line) => 'listening' in line);
  });
  after(async () => {
    await daemon.stop();
    await bash('make down || true', home, env);
    await rm(home, { recursive: true, force: true });
  });

  it('says commands that do what it says, one after another', async () => {
    const outputs: Record<string, string> = {};
    for (const { section, commands } of await blocks()) {
      const { code, output } = await bash(`set -euo pipefail\n${commands}`, home, env);
      assert.equal(code, 0, `${section}:\n${commands}\n${output}`);
      outputs[section] = `${outputs[section] ?? ''}${output}`;
    }
    const sideBySide = outputs['1. Side by side'] ?? '';
    assert.match(sideBySide, /the old daemon/, 'first everything goes to it');
    assert.match(sideBySide, /HEALTH_CHECK +0 +\d+ +0/);
    assert.match(sideBySide, /"greeting"/, 'then KSI reads its compositions');
    assert.match(sideBySide, /GET_COMPOSITIONS +1 +0 +0/);
    const brought = outputs['2. Bring the working folder over'] ?? '';
    for (const line of [
      /^brought +profile +helper$/m,
      /^brought +identity +worker bee\.1$/m,
      /^brought +shared +plan$/m,
      /^brought +agent +planner$/m,
      new RegExp(`^brought +session +${WITH_TRANSCRIPT}$`, 'm'),
      new RegExp(`^brought +session +${OF_ITS_LOG} +Imported from its log`, 'm'),
      /^left +log +message_bus\.jsonl /m,
      /^left +file +memory\/ /m,
    ])
      assert.match(brought, line);
    assert.match(brought, /^7$/m, 'the second time all is there');
    assert.match(brought, /I know what you said before \(1\)|KUMQUAT/, 'the old session goes on');
    assert.match(outputs['3. Clients over'] ?? '', /"result": "Hello/);
    assert.match(outputs['5. Cut-over'] ?? '', /"planner"/);
    const back = outputs['The way back'] ?? '';
    for (const name of ['agent_profiles', 'claude', 'claude_logs', 'ksi_state.json', 'prompts', 'shared_state'])
      assert.match(back, new RegExp(`^${name}$`, 'm'));
    assert.equal(await daemon.ended, 0, 'it was asked to stop');
  });

  it('names what it cannot bring, and brings the rest', async () => {
    await writeFile(join(home, 'old', 'agent_profiles', 'broken.json'), '{ "role": ');
    await writeFile(join(home, 'old', 'shared_state', 'plan.json'), JSON.stringify({ value: 'another' }));
    await writeFile(join(home, 'old', 'agent_profiles', 'template.json'), '{"role": "x", "prompt_template": "Do {task}", "system_instructions": "Be brief"}'); // prettier-ignore
    await writeFile(join(home, 'old', 'prompts', 'compositions', 'unclosed.yaml'), 'components: [');
    await writeFile(join(home, 'old', 'identities.json'), '{ "half":');
    const logged = { timestamp: '2025-06-01T10:00:00Z', type: 'human', content: 'The word is MEDLAR' };
    await writeFile(join(home, 'old', 'claude_logs', `${DAMAGED}.jsonl`), `${JSON.stringify(logged)}\n{ "type": \n`);
    await bash(
      'mkfifo old/agent_profiles/pipe.json old/claude_logs/00000000-0000-4000-8000-000000000000.jsonl',
      home,
      env,
    );
    await bash('make up', home, env);
    const { code, output } = await bash('npx ksi import --claude-dir claude old', home, env);
    assert.equal(code, 1);
    assert.match(output, /^failed +profile +broken +Unexpected end of JSON input$/m);
    for (const line of [
      /^failed +profile +pipe +It is not a regular file/m,
      /^failed +session +00000000-0000-4000-8000-000000000000 +It is not a regular file/m,
      /^brought +profile +template +Without prompt_template, system_instructions, which KSI cannot store/m,
      /^failed +composition +unclosed\.yaml +/m,
      /^failed +file +identities\.json +It is not JSON/m,
      new RegExp(`^brought +session +${DAMAGED} +.* Without 1 damaged line\\.`, 'm'),
    ])
      assert.match(output, line);
    const missing = await bash('npx ksi import no-such-folder', home, env);
    assert.equal(missing.code, 1);
    assert.match(missing.output, /no-such-folder is not a folder/);
    assert.match(output, /^kept +shared +plan +KSI has a different one/m);
    assert.match(output, new RegExp(`^there +session +${OF_ITS_LOG}$`, 'm'));
  });

  it('comes back as it was', async () => {
    const back = async (...path: string[]): Promise<unknown> =>
      JSON.parse(await readFile(join(home, 'back', ...path), 'utf8')) as unknown;
    const { value } = (await back('shared_state', 'plan.json')) as { value: unknown };
    assert.deepEqual(value, PLAN);
    const identities = (await back('shared_state', 'identities.json')) as Record<string, Record<string, unknown>>;
    assert.equal(identities['worker bee.1']?.['identity_uuid'], UUID);
    assert.equal(identities['worker bee.1']?.['created_at'], '2025-06-01T10:00:00.123Z');
    assert.deepEqual(identities['worker bee.1']?.['stats'], STATS);
    assert.deepEqual(await back('agent_profiles', 'helper.json'), HELPER);
    const { agents } = (await back('ksi_state.json')) as { agents: Record<string, { role: string }> };
    assert.equal(agents['planner']?.role, 'planner');
    const project = join(home, 'back').replaceAll(/[^A-Za-z0-9]/g, '-');
    const transcript = await readFile(
      join(home, 'back', 'claude', 'projects', project, `${WITH_TRANSCRIPT}.jsonl`),
      'utf8',
    );
    assert.match(transcript.split('\n')[0] ?? '', /KUMQUAT/);
    const part = join(home, 'back', 'claude', 'projects', project, WITH_TRANSCRIPT, 'subagents', 'agent-1.jsonl');
    assert.match(await readFile(part, 'utf8'), /SUBAGENT/);
    const log = await readFile(join(home, 'back', 'claude_logs', `${OF_ITS_LOG}.jsonl`), 'utf8');
    assert.match(log, /"type":"human","content":"The word is QUINCE"/);
  });
});

/** The commands of the page, a fenced block each. */
async function blocks(): Promise<{ section: string; commands: string }[]> {
  const text = await readFile(join(REPO_ROOT, 'docs', 'migration.md'), 'utf8');
  return text
    .split(/^## /m)
    .slice(1)
    .flatMap((part) => {
      const section = part.slice(0, part.indexOf('\n'));
      return [...part.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, commands = '']) => ({ section, commands }));
    });
}

/** `make` and `npx` as people have them, but for what a test must not do: build, fetch, or ask a model. */
async function environment(home: string): Promise<Record<string, string>> {
  const bin = join(home, 'bin');
  await mkdir(bin);
  const program = async (name: string, script: string): Promise<void> => {
    await writeFile(join(bin, name), `#!/usr/bin/env bash\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  };
  await program('npx', `shift; exec "${process.execPath}" "${KSI}" "$@"`);
  await program('make', `PATH="\${PATH#*:}" exec make -C "${REPO_ROOT}" -o build "\${@/#up/demo}"`);
  return {
    ...testEnvironment(),
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    KSI_DIR: join(home, '.ksi'),
    KSI_PORT: String(await freePort(4)),
    KSI_NATS_PORT: String(await freePort()),
    KSI_LOG_LEVEL: 'warn',
    NO_COLOR: '1',
  };
}

async function bash(
  script: string,
  cwd: string,
  env: Record<string, string>,
): Promise<{ code: number; output: string }> {
  const child = spawn('bash', ['-c', script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  // Not its `close`: bridges that it leaves in the background hold its pipes.
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code: code ?? 128, output };
}

const PLAN = { steps: ['one', 'zwei'], done: null };
const STATS = { messages_sent: 3, conversations_participated: 1, tasks_completed: 2, tools_used: ['Bash'] };
const HELPER = {
  model: 'haiku',
  role: 'helper',
  capabilities: ['help'],
  system_prompt: 'Be kind.',
  enable_tools: true,
  allowed_tools: ['Read'],
};

/** A working folder as the old daemon leaves it, and Claude's folder beside it. */
async function writeOldFolder(home: string): Promise<void> {
  const write = async (path: string, content: string | object): Promise<void> => {
    await mkdir(dirname(join(home, path)), { recursive: true });
    await writeFile(join(home, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  const lines = (...entries: object[]): string => entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  await write('old/agent_profiles/helper.json', HELPER);
  await write('old/shared_state/plan.json', { value: PLAN, updated_at: '2025-06-01T10:00:00Z' });
  await write('old/shared_state/identities.json', {
    'worker bee.1': {
      identity_uuid: UUID,
      agent_id: 'worker bee.1',
      display_name: 'Bee',
      role: 'coder',
      personality_traits: ['busy'],
      appearance: { avatar_style: 'technical', color_theme: 'green', icon: 'B' },
      created_at: '2025-06-01T10:00:00.123456',
      last_active: '2025-06-01T11:00:00Z',
      conversation_count: 4,
      sessions: [],
      preferences: { communication_style: 'professional', verbosity: 'moderate', formality: 'balanced' },
      stats: STATS,
    },
  });
  await write('old/daemon_state.json', {
    sessions: {},
    shared_state: { mood: 'glad' },
    agents: { planner: { role: 'planner', capabilities: ['planning'], status: 'active' } },
  });
  await write('old/prompts/compositions/greeting.yaml', 'name: greeting\nversion: "1.0"\ndescription: Greets\nauthor: us\ncomponents:\n  - name: hi\n    source: components/hi.md\n'); // prettier-ignore
  await write('old/prompts/components/hi.md', 'Hi.\n');
  await write('old/daemon.py', 'raise SystemExit(1)\n');
  await write('old/memory/notes.txt', 'nothing of KSI');
  await write('old/claude_logs/message_bus.jsonl', lines({ id: '1', type: 'BROADCAST' }));
  await write('old/sockets/last_session_id', WITH_TRANSCRIPT);
  const at = '2025-06-01T10:00:00Z';
  for (const [id, word] of [
    [WITH_TRANSCRIPT, 'KUMQUAT'],
    [OF_ITS_LOG, 'QUINCE'],
  ] as const)
    await write(
      `old/claude_logs/${id}.jsonl`,
      lines(
        { timestamp: at, type: 'human', content: `The word is ${word}` },
        { timestamp: at, type: 'claude', result: 'I will remember.', session_id: id },
      ),
    );
  const user = { type: 'user', message: { role: 'user', content: 'The word is KUMQUAT' }, timestamp: at };
  const entry = {
    parentUuid: null,
    isSidechain: false,
    userType: 'external',
    cwd: '/old',
    sessionId: WITH_TRANSCRIPT,
    version: '1.0.0',
  };
  await write(`claude/projects/-old/${WITH_TRANSCRIPT}.jsonl`, lines({ ...entry, ...user, uuid: UUID }));
  await write(
    `claude/projects/-old/${WITH_TRANSCRIPT}/subagents/agent-1.jsonl`,
    lines({ ...entry, ...user, isSidechain: true, message: { role: 'user', content: 'SUBAGENT' }, uuid: OF_ITS_LOG }),
  );
}
