import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { startCluster, type TestCluster } from '../fixtures/cluster.js';
import { Terminal } from '../fixtures/terminal.js';
import { without } from '../fixtures/tools.js';
import { widthOf } from '../../src/cli/output/width.js';

const COLUMNS = 100;

describe('ksi on a terminal, in a demo', { skip: without('tmux') }, () => {
  let cluster: TestCluster;
  let terminal: Terminal;
  before(async () => {
    cluster = await startCluster({ KSI_LOG_LEVEL: 'warn' }, ['--demo']);
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    terminal = await Terminal.start({ KSI_URL: cluster.url, KSI_TOKEN: cluster.token }, { columns: COLUMNS, rows: 40 });
  });
  afterEach(() => terminal?.stop());

  it('chats: answers, asks in place, takes what is typed meanwhile, is interrupted and resumed', async () => {
    await terminal.enter('ksi chat; echo "ended with $?"');
    await terminal.until(/ksi chat: a new session[^]*›$/);
    await terminal.enter('The word is KUMQUAT');
    await terminal.until(/You said: “The word is KUMQUAT”[^]*\ds, \$0\.\d+\n›$/);

    await terminal.enter('[[tool:Bash {"command":"mkdir made"}]] please');
    await terminal.until(/→ Bash mkdir made\nClaude asks to use Bash: mkdir made\nallow\? .*›$/);
    await terminal.enter('perhaps');
    await terminal.until(/› perhaps\nallow\? .*›$/);
    await terminal.enter('n use git mv');
    await terminal.until(/denied\n  ⎿ use git mv[^]*\ds, \$0\.\d+\n›$/);

    await terminal.enter('[[tool:Bash {"command":"mkdir made"}]] again');
    await terminal.until(/again\n→ Bash mkdir made[^]*allow\? .*›$/);
    await terminal.enter('e');
    await terminal.until(/run instead › mkdir made$/);
    await terminal.enter(' && echo PUMPKIN');
    await terminal.until(/allowed as edited\n  ⎿ PUMPKIN[^]*\n›$/);

    await terminal.enter('[[delay:4000]] slowly');
    await terminal.until(/slowly\n. thinking \d+s$/);
    await terminal.type('and more');
    await terminal.until(/slowly\n› and more$/);
    await terminal.press('Enter');
    await terminal.until(/You said: “slowly”[^]*You said: “and more”[^]*\n›$/);

    await terminal.paste('first\nsecond\n');
    await terminal.until(/› first↵second$/);
    await terminal.enter('\\');
    await terminal.until(/› first↵second↵$/);
    await terminal.enter('third');
    await terminal.until(/You said: “first second third”[^]*\n›$/);

    await terminal.enter('[[hang]] for ever');
    await terminal.until(/for ever\n. thinking \d+s$/);
    await terminal.press('C-c');
    await terminal.until(/interrupting Claude; press Ctrl-C again to leave\ninterrupted, .*\n›$/);
    await terminal.enter('/csot');
    await terminal.until(/Unknown command \/csot\. Did you mean \/cost\?/);
    await terminal.enter('/exit');
    await terminal.until(/Continue with: ksi chat --session \S+\nended with 0\n\$$/);

    const { mode } = await stat(join(terminal.folder, 'state', 'ksi', 'chat_history'));
    assert.equal(mode & 0o777, 0o600);
    await terminal.clear();
    await terminal.enter('ksi chat');
    await terminal.until(/ksi chat: session \S+ \(6 tasks, [^]*last: \[\[hang\]\] for ever\nfailed\n›$/);
    await terminal.press('Up', 'Up', 'Up');
    await terminal.until(/› \[\[hang\]\] for ever$/);
    await terminal.press('C-c');
    await terminal.until(/failed\n›$/);
    await terminal.press('C-c');
    await terminal.until(/Press Ctrl-C again, or type \/exit, to leave\.\n›$/);
    await terminal.press('C-c');
    await terminal.until(/Continue with: [^]*\$$/);
  });

  it('chats on over an API that dies, and is told what was answered elsewhere', async () => {
    await terminal.enter('ksi chat --session across');
    await terminal.until(/the new session across[^]*›$/);
    await terminal.enter('[[delay:4000]] the gap');
    await terminal.until(/the gap\n. thinking \d+s$/);
    const { processes } = JSON.parse((await cluster.ksi(['status', '-o', 'json'])).stdout) as {
      processes: { name: string; pid: number }[];
    };
    const api = processes.find(({ name }) => name === 'api-1');
    assert.ok(api !== undefined);
    process.kill(api.pid, 'SIGKILL');
    await terminal.until(/KSI does not answer at .*; retrying\n[^]*You said: “the gap”[^]*\n›$/);
    await terminal.enter('[[tool:Bash {"command":"mkdir made"}]] please');
    await terminal.until(/Claude asks to use Bash: mkdir made\nallow\? .*›$/);
    const [approval] = JSON.parse((await cluster.ksi(['approvals', '-o', 'json'])).stdout) as { approval_id: string }[];
    await cluster.ksi(['approvals', 'deny', approval?.approval_id ?? '', '--message', 'by PUMPKIN']);
    await terminal.until(/answered elsewhere: deny\n[^]*by PUMPKIN[^]*\n›$/);
    await terminal.press('C-d');
    await terminal.until(/Continue with: ksi chat --session across\n\$$/);
  });

  it('shows a spinner until Claude writes, and nothing but the answer in a file', async () => {
    await terminal.enter('ksi spawn "[[delay:1500]] one"');
    await terminal.until(/. (queued|running) \d+s$/);
    const screen = await terminal.until(/You said: “one”\.\n\$$/);
    assert.doesNotMatch(screen, /running|queued/);
    await writeFile(join(terminal.folder, 'plan.md'), 'the plan');
    await terminal.enter('echo "a diff" | ksi spawn "Review @plan.md" > review.md; echo "ended with $?"');
    await terminal.until(/attached: plan\.md \(8 B\)[^]*ended with 0\n\$$/);
    assert.match(
      await readFile(join(terminal.folder, 'review.md'), 'utf8'),
      /^Hello! .*“Review @plan\.md a diff”\.\n$/,
    );
  });

  it('lists within the terminal, wide characters counted, and goes on showing what changes', async () => {
    await cluster.ksi(['spawn', '--no-wait', `日本語のとても長いテスト ${'👩‍💻 naïve '.repeat(20)}`]);
    await terminal.enter('ksi tasks -n 3');
    const lines = (await terminal.until(/日本語[^]*\$$/)).split('\n');
    for (const line of lines) assert.ok(widthOf(line) <= COLUMNS, line);
    assert.match(lines.join('\n'), /日本語.*…\n/);
    await terminal.clear();
    await terminal.enter('ksi tasks --watch -n 3');
    await terminal.until(/TASK +STATUS [^]*Ctrl-C ends/);
    await cluster.ksi(['spawn', '--no-wait', 'QUINCE']);
    await terminal.until(/completed .* QUINCE\n[^]*Ctrl-C ends/);
    await terminal.press('C-c');
    await terminal.until(/^\$ ksi tasks --watch -n 3\nTASK[^]*QUINCE[^]*\n\$$/);
  });
});
