import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, describe, it } from 'node:test';
import { attachmentOf } from '../../src/cli/attachments.js';
import { LastSession } from '../../src/cli/chat/last-session.js';
import { CliError, EXIT } from '../../src/cli/exit.js';
import { findMentions } from '../../src/cli/mentions.js';
import { withPiped } from '../../src/cli/prompt.js';
import { wantsColour } from '../../src/cli/output/colour.js';
import { resultLine, toolLine } from '../../src/cli/output/tools.js';
import { stateFolder } from '../../src/cli/state.js';
import { kindOfStdin, readStdin } from '../../src/cli/stdin.js';

const folder = mkdtempSync(join(tmpdir(), 'ksi-input-'));
after(() => rmSync(folder, { recursive: true }));

describe('stdin', () => {
  it('is read if it is a pipe or a file, and ignored if it is a device or closed', () => {
    const file = join(folder, 'data');
    writeFileSync(file, 'x');
    const open = openSync(file, 'r');
    const nothing = openSync('/dev/null', 'r');
    assert.equal(kindOfStdin(open), 'data');
    assert.equal(kindOfStdin(nothing), 'none');
    for (const fd of [open, nothing]) closeSync(fd);
    assert.equal(kindOfStdin(open), 'none');
    const script = `import(${JSON.stringify(new URL('../../src/cli/stdin.js', import.meta.url).href)}).then((m) => console.log(m.kindOfStdin()))`;
    const kindIn = (shell: string): string =>
      spawnSync('sh', ['-c', shell, 'sh', process.execPath, script], { encoding: 'utf8' }).stdout.trim();
    assert.equal(kindIn('echo x | "$1" -e "$2"'), 'data');
    assert.equal(kindIn('"$1" -e "$2" <&-'), 'none');
  });

  const quiet = { notice: () => undefined, requested: false };

  it('is read unchanged, and only as text', async () => {
    assert.equal(await readStdin(Readable.from([Buffer.from('dé'), Buffer.from('jà\n')]), 'data', quiet), 'déjà\n');
    assert.equal(await readStdin(Readable.from([]), 'none', quiet), undefined);
    await assert.rejects(
      readStdin(Readable.from([Buffer.from([0xff, 0xfe, 0x00])]), 'data', quiet),
      (error) => error instanceof CliError && error.exitCode === EXIT.usage,
    );
  });

  it('is not awaited if it is an idle socket, unless it was requested', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const notices: string[] = [];
    const notice = (text: string): void => void notices.push(text);
    const silent = readStdin(new PassThrough(), 'perhaps', { notice, requested: false });
    t.mock.timers.tick(3_000);
    assert.equal(await silent, undefined);
    assert.match(notices.join(), /going on without it/);
    const late = new PassThrough();
    const asked = readStdin(late, 'perhaps', { notice, requested: true });
    t.mock.timers.tick(3_000);
    late.end('late');
    assert.equal(await asked, 'late');
    assert.match(notices.at(-1) ?? '', /waiting for the end/);
  });

  it('follows the words, or replaces `-`', () => {
    assert.equal(withPiped('Review', 'diff\n'), 'Review\n\ndiff');
    assert.equal(withPiped('Review', ' \n'), 'Review');
    assert.equal(withPiped('Review', undefined), 'Review');
    assert.equal(withPiped(undefined, ' as it is\n'), ' as it is\n');
    assert.equal(withPiped('Of \u0000 say', 'a'), 'Of \n\na say');
  });
});

describe('a file that a text mentions', () => {
  const files = new Set(['/w/a.md', '/w/src/b.ts', '/w/with space.txt', '/w/c.md)']);
  const of = (text: string) => findMentions(text, '/w', (path) => files.has(path));
  const paths = (text: string): string[] => of(text).mentions.map(({ path }) => path);

  it('is found at the start of a word, once, and without final punctuation', () => {
    assert.deepEqual(paths('see @a.md, (@src/b.ts) and @a.md.'), ['a.md', 'src/b.ts']);
    assert.deepEqual(paths('@a.md'), ['a.md']);
    assert.deepEqual(paths('@"with space.txt" is it'), ['with space.txt']);
    assert.deepEqual(paths('what\n@/w/a.md says'), ['/w/a.md']);
    assert.deepEqual(paths('@c.md)'), ['c.md)']);
  });

  it('is not an address, a package, a folder or a missing file', () => {
    for (const text of ['bob@a.md', 'npm i @scope/pkg', '@src', '@', 'a@ b', '@ a.md'])
      assert.deepEqual(of(text), { text, mentions: [], missing: [] }, text);
    assert.deepEqual(of('read @nothing.md, @bob'), {
      text: 'read @nothing.md, @bob',
      mentions: [],
      missing: ['nothing.md'],
    });
  });

  it('is only mentioned if its @ is escaped', () => {
    assert.deepEqual(of('@@a.md and \\@a.md'), { text: '@a.md and @a.md', mentions: [], missing: [] });
    assert.equal(of('a@@b \\\\@').text, 'a@@b \\\\@');
  });

  it('is attached with its media type, and refused if Claude cannot read it', () => {
    const file = (name: string, data: string | Buffer): string => {
      writeFileSync(join(folder, name), data);
      return join(folder, name);
    };
    assert.deepEqual(attachmentOf(file('x.PNG', Buffer.from([0])), 'x.PNG'), {
      name: 'x.PNG',
      media_type: 'image/png',
      data: 'AA==',
    });
    assert.equal(attachmentOf(file('code.rs', 'fn'), 'src/code.rs').media_type, 'text/plain');
    assert.throws(() => attachmentOf(file('a.bin', Buffer.from([1, 0])), 'a.bin'), /neither text nor/);
    assert.throws(() => attachmentOf(file('none.md', ''), 'none.md'), /is empty/);
  });
});

describe('saved state', () => {
  it('is stored in the XDG folder, private to its user, by folder and API', () => {
    assert.equal(stateFolder({ XDG_STATE_HOME: '/s' }), '/s/ksi');
    assert.match(stateFolder({ XDG_STATE_HOME: 'relative' }), /\/\.local\/state\/ksi$/);
    const env = { XDG_STATE_HOME: folder };
    const at = (cwd: string, url = 'http://a'): LastSession => new LastSession(env, cwd, url);
    assert.equal(at('/w').get(), undefined);
    at('/w').set('notes');
    at('/v').set('other');
    at('/w', 'http://b').set('there');
    assert.deepEqual([at('/w').get(), at('/v').get(), at('/w', 'http://b').get()], ['notes', 'other', 'there']);
    const file = join(folder, 'ksi', 'chat.json');
    assert.match(readFileSync(file, 'utf8'), /"\/w http:\/\/a": "notes"/);
    writeFileSync(file, 'half of');
    assert.equal(at('/w').get(), undefined);
  });
});

describe('terminal output', () => {
  it('follows the usual colour variables', () => {
    assert.equal(wantsColour(true, {}), true);
    assert.equal(wantsColour(false, {}), false);
    assert.equal(wantsColour(true, { NO_COLOR: '1' }), false);
    assert.equal(wantsColour(true, { NO_COLOR: '' }), true);
    assert.equal(wantsColour(true, { TERM: 'dumb' }), false);
    assert.equal(wantsColour(false, { CLICOLOR_FORCE: '1' }), true);
    assert.equal(wantsColour(false, { CLICOLOR_FORCE: '1', NO_COLOR: '1' }), false);
    assert.equal(wantsColour(false, { FORCE_COLOR: '1', NO_COLOR: '1' }), true);
    assert.equal(wantsColour(true, { FORCE_COLOR: '0' }), false);
  });

  it('shows each tool call on one line, whatever its input', () => {
    assert.equal(toolLine('Bash', { command: 'ls\n-l\u001b[2J' }, 80), '→ Bash ls -l [2J');
    assert.equal(toolLine('mcp__x', { a: 1 }, 80), '→ mcp__x {"a":1}');
    assert.equal(toolLine('Read', { file_path: '/very/long/path' }, 12), '→ Read /ver…');
    assert.equal(resultLine({ text: '\n12 passed\nmore\nmore\n', failed: false }, 80), '  ⎿ 12 passed (+2 lines)');
    assert.equal(resultLine({ text: '', failed: true }, 80), '  ⎿ failed');
  });
});
