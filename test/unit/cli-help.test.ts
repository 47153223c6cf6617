import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pathOf, type Command } from '../../src/cli/command.js';
import { complete } from '../../src/cli/completion/complete.js';
import { SCRIPTS } from '../../src/cli/completion/scripts.js';
import { COMMAND_GROUPS } from '../../src/cli/commands/index.js';
import { createProgram } from '../../src/cli/program.js';
import { nearest } from '../../src/cli/words.js';
import { manPage } from '../../src/docs/man-page.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { without } from '../fixtures/tools.js';

const namesOf = (program: Command): string[] =>
  program
    .createHelp()
    .visibleCommands(program)
    .map((each) => each.name());

const all = (command: Command): Command[] => [
  command,
  ...command
    .createHelp()
    .visibleCommands(command)
    .flatMap((each) => all(each as Command)),
];

describe('the commands of ksi', async () => {
  const commands = all(await createProgram());

  it('are loaded one at a time, by name', async () => {
    for (const name of COMMAND_GROUPS.flatMap(({ commands: group }) => Object.keys(group)).filter(
      (each) => each !== 'help',
    ))
      assert.deepEqual(namesOf(await createProgram(name)), [name]);
    assert.deepEqual(namesOf(await createProgram('--version')), []);
    assert.ok(namesOf(await createProgram('help')).length > 30);
    assert.ok(namesOf(await createProgram('taks')).length > 30);
  });

  it('each have a description and examples of their own', () => {
    assert.ok(commands.length > 40);
    for (const command of commands) {
      assert.notEqual(command.description(), '', pathOf(command));
      assert.ok(command.examples.length > 0, `${pathOf(command)} has no example`);
      assert.ok(
        command.examples.some((line) => line.includes(pathOf(command)) || command.name() === 'list'),
        `${pathOf(command)} is in none of its examples`,
      );
    }
  });

  it('are all on the man page, which renders without warnings', { skip: without('man') }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ksi-man-'));
    try {
      writeFileSync(join(folder, 'ksi.1'), await manPage());
      const env = { ...process.env, LANG: 'C.UTF-8', MANWIDTH: '200', MANPAGER: 'cat' };
      const { stdout, stderr, status } = spawnSync('man', ['--warnings', '-l', join(folder, 'ksi.1')], {
        env,
        encoding: 'utf8',
      });
      assert.deepEqual([status, stderr], [0, '']);
      for (const command of commands.slice(1)) assert.match(stdout, new RegExp(`\\b${pathOf(command)}\\b`));
      assert.match(stdout, /124 +The wait timed out/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a mistyped word', () => {
  const cases: [string[], RegExp][] = [
    [['taks'], /Did you mean (one of )?task/],
    [['dead', 'retyr', 'ID'], /unknown command 'retyr'\n\(Did you mean retry\?\)/],
    [['help', 'sesions'], /unknown command 'sesions'\n\(Did you mean sessions\?\)/],
    [['tasks', '--sesion', 'x'], /Did you mean --session\?/],
    [['tasks', '--status', 'compleet'], /Allowed choices are .* Did you mean completed\?/],
    [['spawn', '--effort', 'hihg', 'x'], /Did you mean high\?/],
    [['completion', 'bsh'], /Did you mean bash\?/],
    [['dead', 'xyzzyplugh'], /See: ksi dead --help/],
  ];
  for (const [words, answer] of cases)
    it(`gets the nearest correct word as a suggestion: ksi ${words.join(' ')}`, async () => {
      let output = '';
      const program = await createProgram();
      for (const command of all(program))
        command.exitOverride().configureOutput({ writeErr: (text) => (output += text) });
      await assert.rejects(program.parseAsync(words, { from: 'user' }));
      assert.match(output, answer);
    });

  it('gets no suggestion if no word is similar', () => {
    assert.equal(nearest('frobnicate', ['tasks', 'spawn']), undefined);
    assert.equal(nearest('TASKS', ['task', 'tasks']), 'tasks');
    assert.equal(nearest('tsaks', ['tasks']), 'tasks');
  });
});

describe('completion', async () => {
  const program = await createProgram();
  const values = (...words: string[]): string[] => complete(program, words).candidates.map(({ value }) => value);
  const kind = (...words: string[]) => complete(program, words).values;

  it('knows commands and the commands of groups', () => {
    assert.deepEqual(values('sp'), ['spawn']);
    assert.ok(values('').includes('chat'));
    assert.ok(!values('').includes('__complete'));
    assert.deepEqual(values('dead', 're'), ['retry']);
    assert.deepEqual(values('help', 'dead', 'sh'), ['show']);
    assert.deepEqual(values('tasks', 'sp'), []);
  });

  it('knows options, including global ones, and their choices', () => {
    assert.deepEqual(values('spawn', '--eff'), ['--effort']);
    assert.deepEqual(values('tasks', '--out'), ['--output']);
    assert.deepEqual(values('dead', '--qu'), ['--queue', '--quiet']);
    assert.deepEqual(values('spawn', '--effort', 'h'), ['high']);
    assert.deepEqual(values('spawn', '--effort=h'), ['--effort=high']);
    assert.deepEqual(values('spawn', '--effort', '=', 'h'), ['high']);
    assert.deepEqual(values('-o', 'js'), ['json', 'jsonl']);
    assert.deepEqual(values('completion', ''), ['bash', 'zsh', 'fish']);
    assert.deepEqual(values('spawn', '--', '--eff'), []);
  });

  it('knows the kind of value that an argument needs', () => {
    assert.equal(kind('task', ''), 'tasks');
    assert.equal(kind('cancel', 'ID', ''), 'open tasks');
    assert.equal(kind('spawn', '--session', ''), 'sessions');
    assert.equal(kind('spawn', '--session', 'notes', ''), undefined);
    assert.equal(kind('-o', 'json', 'task', ''), 'tasks');
    assert.equal(kind('spawn', '--attach', ''), 'files');
    assert.equal(kind('approvals', 'allow', ''), 'approvals');
    assert.equal(kind('dead', '--queue', ''), undefined);
    assert.equal(kind('dead', 'retry', '--queue', ''), 'queues');
    assert.equal(kind('delete', 'session', ''), 'sessions');
  });

  for (const shell of ['bash', 'zsh', 'fish'] as const)
    it(`is a script that ${shell} accepts`, { skip: spawnSync('which', [shell]).status !== 0 }, () => {
      const folder = mkdtempSync(join(tmpdir(), 'ksi-completion-'));
      try {
        writeFileSync(join(folder, 'ksi'), SCRIPTS[shell]);
        const { status, stderr } = spawnSync(shell, ['-n', join(folder, 'ksi')], { encoding: 'utf8' });
        assert.deepEqual([status, stderr], [0, '']);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

  it('completes in bash', () => {
    const script = `ksi() { ${process.execPath} ${join(REPO_ROOT, 'dist', 'src', 'cli', 'main.js')} "$@"; }
      ${SCRIPTS.bash}
      COMP_WORDS=(ksi spawn --effort = h); COMP_CWORD=4; _ksi; echo "\${COMPREPLY[*]}"
      COMP_WORDS=(ksi dead d); COMP_CWORD=2; _ksi; echo "\${COMPREPLY[*]}"
      COMP_WORDS=(ksi ""); COMP_CWORD=1; _ksi; echo "\${#COMPREPLY[@]}"
      COMP_WORDS=(ksi sessions import pack); COMP_CWORD=3; _ksi; echo "\${COMPREPLY[*]}"`;
    const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: REPO_ROOT });
    const [effort, dead, count, files] = stdout.split('\n');
    assert.deepEqual([effort, dead], ['high', 'delete']);
    assert.ok(Number(count) > 20);
    assert.match(files ?? '', /package\.json/);
  });
});
