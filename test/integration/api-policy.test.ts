import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SUBJECT } from '../../contracts/wire/names.js';
import { ApiLab, type Answer } from '../fixtures/api.js';

const SESSION = '0190c0de-0000-4000-8000-00000000000a';

describe('what a request may ask of Claude', () => {
  let lab: ApiLab;
  let base: string;
  before(async () => {
    base = await mkdtemp(join(tmpdir(), 'ksi-api-policy-'));
    await mkdir(join(base, 'site', 'docs'), { recursive: true });
    await symlink('/etc', join(base, 'site', 'etc'));
    await writeFile(
      join(base, 'policy.json'),
      JSON.stringify({ allow: ['Read', 'Bash(git:*)'], deny: ['Bash(git push:*)'] }),
    );
    lab = await ApiLab.start({
      KSI_WORKSPACES: `site=${join(base, 'site')},elsewhere=${join(base, 'not-on-this-host')}`,
      KSI_TOOL_POLICY: join(base, 'policy.json'),
    });
  });
  after(async () => {
    await lab.stop();
    await rm(base, { recursive: true, force: true });
  });

  const refused = (answer: Answer, status: number, code: string, pattern: RegExp): void => {
    assert.deepEqual([answer.status, answer.body['code']], [status, code]);
    assert.match(JSON.stringify(answer.body), pattern);
  };

  it('is a folder below a root, and nothing that leads out of it', async () => {
    for (const workspace of ['site', 'site/docs', 'elsewhere/x'])
      assert.equal((await lab.post({ prompt: 'x', workspace })).status, 202, workspace);
    for (const [workspace, pattern] of [
      ['other', /there is no root other: the roots are site, elsewhere/],
      ['site/etc', /symbolic link/],
      ['site/none', /no folder site\/none/],
      ['site/../x', /workspace/],
      ['/etc', /workspace/],
      ['site/.git', /workspace/],
      ['site\u0000', /workspace/],
    ] as const)
      refused(await lab.post({ prompt: 'x', workspace }), 400, 'invalid_request', pattern);
  });

  it('is the folder that the session works in', async () => {
    await lab.broker.publisher.publish({
      subject: SUBJECT.sessionWorkspace(SESSION),
      payload: JSON.stringify({ v: 1, workspace: 'site' }),
    });
    const ask = (workspace: string): Promise<Answer> => lab.post({ prompt: 'x', session_id: SESSION, workspace });
    assert.equal((await ask('site')).status, 202);
    refused(await ask('site/docs'), 409, 'workspace_mismatch', /works in site, not in site\/docs/);
  });

  it('is a tool that the policy allows', async () => {
    for (const rule of ['Read', 'Bash(git log:*)'])
      assert.equal((await lab.post({ prompt: 'x', allowed_tools: [rule] })).status, 202, rule);
    for (const [rule, pattern] of [
      ['Bash', /Bash is not allowed by the operator's policy, which allows: Read, Bash\(git:\*\)/],
      ['Bash(git push:*)', /denied by the operator's policy/],
      ['Write', /Write is not allowed by the operator's policy/],
    ] as const)
      refused(await lab.post({ prompt: 'x', allowed_tools: ['Read', rule] }), 403, 'tool_not_allowed', pattern);
  });

  it('is no flag, and no two rules in one', async () => {
    for (const rule of [
      '--dangerously-skip-permissions',
      'Read,Bash',
      'Read Bash',
      'Bash(a),Bash(b)',
      'Bash(a)\n',
      'Bash(\u0000)',
      '(x)',
      '*',
    ])
      for (const field of ['allowed_tools', 'disallowed_tools'])
        refused(await lab.post({ prompt: 'x', [field]: [rule] }), 400, 'invalid_request', new RegExp(field));
    for (const model of ['--mcp-config=x', '-p', 'opus --x', 'a\nb', ''])
      refused(await lab.post({ prompt: 'x', model }), 400, 'invalid_request', /model/);
  });

  it('is nothing that widens the environment or the executable', async () => {
    for (const field of ['env', 'cwd', 'settings', 'mcp_config', 'additional_directories', 'executable', 'extra_args'])
      refused(await lab.post({ prompt: 'x', [field]: 'x' }), 400, 'invalid_request', new RegExp(field));
  });
});
