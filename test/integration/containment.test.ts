import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findContainment } from '../../workers/claude/containment.js';
import { openFolder } from '../../workers/claude/open-folder.js';

/** A parent that starts a contained run, whose child and setsid grandchild live on; it prints their marker and waits. */
const PARENT = `
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
const [command, ...args] = JSON.parse(process.argv[1]);
const workspace = openSync(process.cwd(), 'r');
const child = spawn(command, args, { detached: true, stdio: ['pipe', 'inherit', 'inherit', workspace] });
child.on('exit', (code) => process.exit(code ?? 1));
`;

const PLACE = { ksiDir: join(tmpdir(), 'ksi-none'), cwd: process.cwd(), visible: [] };

describe('containment', async () => {
  const containment = await findContainment();

  it(`passes exit code, stdin and stdout through (${containment.kind})`, async () => {
    const { command, args } = containment.wrap({ command: 'sh', args: ['-c', 'cat; exit 7'] }, PLACE);
    const workspace = openFolder(PLACE.cwd);
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'inherit', workspace.fd] });
    workspace.close();
    assert.ok(child.stdin !== null && child.stdout !== null);
    child.stdin.end('through');
    const [out] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(out, 'through');
    assert.equal(code, 7);
  });

  it('ends everything, what called setsid included, when the parent is killed outright', async (test) => {
    if (containment.kind === 'process_group') return test.skip('this host allows no namespaces: the guard does this');
    const length = String(4_000_000 + process.pid);
    const run = containment.wrap(
      { command: 'sh', args: ['-c', `setsid sleep ${length} & echo up; sleep ${length}`] },
      PLACE,
    );
    const parent = spawn(
      process.execPath,
      ['--input-type=module', '-e', PARENT, JSON.stringify([run.command, ...run.args])],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(parent.stdout, 'data');
    let pids: number[] = [];
    // The second one begins only after it has said that it is up.
    while (pids.length < 2) pids = await sleepers(length);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    // Nothing tells of the end of somebody else's child: so look, up to the safety limit of the test.
    while (pids.some((pid) => existsSync(`/proc/${pid}`))) await sleep(20);
  });
});

async function sleepers(length: string): Promise<number[]> {
  const found = spawn('pgrep', ['-f', `^sleep ${length}$`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of found.stdout.setEncoding('utf8')) text += String(chunk);
  return text.split('\n').filter(Boolean).map(Number);
}
