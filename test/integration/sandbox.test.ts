import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { findContainment } from '../../workers/claude/containment.js';
import { Folders } from '../../workers/claude/folders.js';
import { FolderMoved, openFolder, type OpenFolder } from '../../workers/claude/open-folder.js';
import { sandboxArguments, type Place } from '../../workers/claude/sandbox.js';
import { startMessagesStandin } from '../../src/standin/messages/server.js';
import { CLAUDE_REAL, REPO_ROOT } from '../fixtures/paths.js';
import { workerProcess } from '../fixtures/worker-process.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const NOBODY = 65_534;
/** CAP_CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID and SETUID. */
const CONTAINER_CAPABILITIES = [0, 1, 3, 4, 6, 7].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);
/** PTRACE_ATTACH. Exits with 0 if the process can be traced. */
const PTRACE = 'import ctypes, sys; sys.exit(0 if ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0) == 0 else 1)';
const run = promisify(execFile);
const root = process.getuid?.() === 0;
const { kind } = await findContainment();
const skip = kind !== 'sandbox' && 'bubblewrap makes no sandbox on this host';

describe('a run in a sandbox', { skip }, () => {
  let base: string;
  let ksiDir: string;
  let own: string;
  before(async () => {
    base = await realpath(await mkdtemp(join(tmpdir(), 'ksi-sandbox-')));
    ksiDir = join(base, 'repository', '.ksi');
    own = join(ksiDir, 'workspaces', 'own');
    for (const folder of [own, join(ksiDir, 'workspaces', 'other'), join(ksiDir, 'workers', 'w_1', '0', 'home')])
      await mkdir(folder, { recursive: true });
    await run('git', ['init', '-q', join(base, 'repository')]);
    await writeFile(join(ksiDir, 'token'), 'SECRET');
    await writeFile(join(base, 'outside.nk'), 'SECRET');
    await symlink(join(base, 'outside.nk'), join(base, 'linked.nk'));
    for (const folder of ['login', 'outer/inner', 'elsewhere']) await mkdir(join(base, folder), { recursive: true });
    await writeFile(join(base, 'login', '.credentials.json'), '{}');
    await writeFile(join(ksiDir, 'workspaces', 'other', 'file'), 'SECRET');
    await symlink(join(ksiDir, 'token'), join(own, 'link'));
    await chmod(base, 0o755);
    if (root) for (const path of [base, ...(await everythingBelow(base))]) await chown(path, NOBODY, NOBODY);
  });
  after(() => rm(base, { recursive: true, force: true }));

  /** @returns the output of a shell in the sandbox, errors included. */
  async function inside(
    script: string,
    user: 'root' | 'ordinary',
    cwd = own,
    further: Partial<Place> & { folder?: OpenFolder } = {},
  ): Promise<string> {
    const visible = [join(ksiDir, 'workers', 'w_1', '0')];
    const hidden = [join(base, 'linked.nk')];
    // The arguments of root differ: they are made for who runs this.
    const place = { ksiDir, cwd, visible, hidden, ...further };
    const args = ['bwrap', ...sandboxArguments(place, user === 'root'), '--'];
    const folder = further.folder ?? openFolder(cwd);
    const become =
      user === 'ordinary' && root ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
    const [command, ...rest] = [...become, ...args, 'sh', '-c', `{ ${script}\n} 2>&1 || true`];
    const child = spawn(command ?? '', rest, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit', folder.fd] });
    folder.close();
    assert.ok(child.stdout !== null);
    return text(child.stdout);
  }

  for (const user of root ? (['root', 'ordinary'] as const) : (['ordinary'] as const)) {
    describe(`as ${user === 'root' ? 'root' : 'an ordinary user'}`, () => {
      it('sees of KSI_DIR its own workspace and slot only', async () => {
        const seen = await inside(
          `find ${ksiDir}; cat ${ksiDir}/token link ../../token ${base}/outside.nk; ls ..`,
          user,
        );
        assert.ok(!seen.includes('SECRET') && !seen.includes('other'), seen);
        assert.match(seen, /workers\/w_1\/0\/home/);
      });

      it('sees none of it when the workspace contains KSI_DIR', async () => {
        const seen = await inside(`find .; cat .ksi/token`, user, join(base, 'repository'));
        assert.ok(!seen.includes('SECRET') && !seen.includes('workspaces/other'), seen);
      });

      it('finds no repository that contains KSI_DIR', async () => {
        const output = await inside(
          `git status; git -C ${join(base, 'repository')} log; ls -A ${base}/repository/.git`,
          user,
        );
        assert.equal(output.match(/not a git repository/g)?.length, 2, output);
      });

      it('writes its workspace and slot', async () => {
        const output = await inside(`touch made-${user} ${ksiDir}/workers/w_1/0/home/made-${user} && ls`, user);
        assert.match(output, new RegExp(`^made-${user}$`, 'm'));
      });

      it('cannot undo a mount, enter another namespace, or look into another process', async () => {
        const output = await inside(
          [
            `umount ${ksiDir}; umount -l ${ksiDir}; umount /proc`,
            `mount -t tmpfs none /mnt && echo MOUNTED`,
            `nsenter -t ${process.pid} -m cat ${ksiDir}/token`,
            `tr '\\0' '\\n' < /proc/${process.pid}/environ && echo READ`,
            `cat /proc/1/root${ksiDir}/token`,
            `python3 -c '${PTRACE}' ${process.pid} && echo TRACED`,
            // A user namespace of its own gives it rights over nothing that it got.
            `unshare -Urm sh -c 'umount ${ksiDir}; umount -l ${ksiDir}; cat ${ksiDir}/token'`,
            `unshare -Urm sh -c 'mount --bind / /mnt; cat /mnt${ksiDir}/token'`,
            `grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status`,
          ].join('\n'),
          user,
        );
        assert.ok(!/SECRET|MOUNTED|READ|TRACED/.test(output), output);
        const capabilities = BigInt(`0x${/CapEff:\s+([0-9a-f]+)/.exec(output)?.[1]}`);
        assert.equal(capabilities & ~(user === 'root' ? CONTAINER_CAPABILITIES : 0n), 0n, output);
        assert.match(output, /NoNewPrivs:\s+1/);
      });

      it('writes to KSI_DIR no more than to its workspace and slot', async () => {
        const output = await inside(
          `touch ${ksiDir}/made && echo MADE; mkdir ../made && echo MADE; df --output=size ${ksiDir} | tail -1`,
          user,
        );
        assert.ok(!output.includes('MADE'), output);
        assert.equal(Number(output.split('\n').at(-2)), 64, output);
      });

      it('gets the folder that was checked, whatever has taken its name since', async () => {
        const inner = join(base, 'outer', 'inner');
        const folder = openFolder(inner);
        await writeFile(join(inner, 'checked'), '');
        await rename(inner, `${inner}-moved`);
        await symlink(join(base, 'elsewhere'), inner);
        try {
          assert.throws(() => openFolder(inner), FolderMoved);
          const output = await inside('touch made; ls', user, inner, { folder });
          assert.deepEqual(await readdir(join(base, 'elsewhere')), [], output);
        } finally {
          await rm(inner);
          await rename(`${inner}-moved`, inner);
        }
      });

      it('cannot change the home, the code and the login that are inside its workspace', async () => {
        const file = join(base, 'login', '.credentials.json');
        const login = { folder: join(base, 'login'), file, writable: false };
        const script = `cat ${file}; touch by-${user} && echo WORKSPACE; touch ${file} login/x && echo LOGIN; mv login x && echo MOVED`;
        const output = await inside(script, user, base, { login });
        assert.ok(output.includes('WORKSPACE') && output.includes('{}') && !/LOGIN|MOVED/.test(output), output);
        const renewed = await inside(`echo '{}' > ${file} && echo LOGIN; touch login/x && echo FOLDER`, user, own, {
          login: { ...login, writable: true },
        });
        assert.ok(renewed.includes('LOGIN') && !renewed.includes('FOLDER'), renewed);
        const home = await inside('touch "$HOME/.made" && echo HOME', user, '/');
        assert.ok(!home.includes('HOME'), home);
      });

      it("cannot write KSI's code or its packages", async () => {
        const output = await inside(
          `for f in ${REPO_ROOT}/made ${REPO_ROOT}/dist/made ${REPO_ROOT}/node_modules/made; do touch "$f" && echo MADE; done`,
          user,
        );
        assert.ok(!output.includes('MADE'), output);
      });
    });
  }

  it(
    'as root writes no profile, no device and no setting of the kernel',
    { skip: !root && 'needs root' },
    async (t) => {
      const { HOME = '/root' } = process.env;
      t.after(() => (process.env['HOME'] = HOME));
      // As with `sudo -E`: root's own home folder is another one.
      process.env['HOME'] = join(base, 'elsewhere');
      const output = await inside(
        [
          'for folder in "$HOME" ~root /etc /var/spool /var/lib',
          'do touch "$folder/.ksi-made" && echo MADE && rm "$folder/.ksi-made"; done',
          'ls /dev',
          'cat /proc/sys/kernel/core_pattern > /tmp/ksi-pattern; cat /tmp/ksi-pattern > /proc/sys/kernel/core_pattern && echo SET; rm /tmp/ksi-pattern',
          'touch /sys/kernel/mm/ksm/run && echo TOUCHED',
        ].join('\n'),
        'root',
      );
      assert.ok(!/MADE|SET|TOUCHED|[sv]da/.test(output), output);
    },
  );
});

describe('a process of Claude', () => {
  it(
    'gets no descriptor of its worker but 0, 1 and 2',
    { skip: process.platform !== 'linux' && 'reads /proc' },
    async () => {
      const lab = await WorkerLab.start();
      try {
        const containment = await findContainment();
        await lab.worker({ containment });
        const { taskId } = await lab.post('[[descriptors]]');
        const { message } = (await lab.event('SPAWN_MESSAGE', taskId, (data) => JSON.stringify(data).includes('fd 0')))
          .data;
        const listed = JSON.stringify(message);
        assert.ok(!listed.includes('.mdb') && listed.includes('fd 2'), listed);
        assert.ok(!listed.includes('/workspaces/'), listed);
        // Only the sandbox can close what the worker's process passes on.
        if (containment.kind === 'sandbox') assert.ok(!/fd (?:[4-9]|\d\d)/.test(listed), listed);
        await lab.outcome(taskId);
      } finally {
        await lab.stop();
      }
    },
  );
});

it('a run whose working folder was replaced by a link is not started', async (t) => {
  const lab = await WorkerLab.start();
  try {
    const target = await realpath(lab.dir);
    await symlink(target, join(target, 'link'));
    t.mock.method(Folders.prototype, 'workspace', () => Promise.resolve(join(target, 'link')));
    await lab.worker({ containment: await findContainment() });
    const { taskId } = await lab.post('[[descriptors]]', { command: { max_attempts: 1 } });
    const { error } = dataOf('SPAWN_ERROR', await lab.outcome(taskId));
    assert.equal(error.code, 'workspace_unavailable', error.message);
  } finally {
    await lab.stop();
  }
});

async function everythingBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isSymbolicLink()).map((entry) => join(entry.parentPath, entry.name));
}

describe(
  'a session in a sandbox',
  { skip: skip || (CLAUDE_REAL === undefined && 'there is no claude executable') },
  () => {
    it('is resumed by a worker process of its own, whose temporary folder is below KSI_DIR', async () => {
      const api = await startMessagesStandin({ deltaMs: 1 });
      const lab = await WorkerLab.start({ KSI_CLAUDE_BIN: CLAUDE_REAL ?? '' });
      const env = { ANTHROPIC_BASE_URL: api.url, ANTHROPIC_API_KEY: 'sk-ant-test-0123456789' };
      const child = workerProcess(lab, { KSI_CLAUDE_BIN: CLAUDE_REAL ?? '', ...env });
      try {
        const { taskId, sessionId } = await lab.post('the word is KUMQUAT');
        assert.equal((await lab.outcome(taskId)).type, 'SPAWN_COMPLETE');
        const second = await lab.post('go on', { sessionId });
        const outcome = await lab.outcome(second.taskId);
        assert.equal(outcome.type, 'SPAWN_COMPLETE', JSON.stringify(outcome.data).slice(0, 500));
        assert.match(JSON.stringify(api.requests.at(-1)?.body), /KUMQUAT/);
      } finally {
        child.kill();
        await once(child, 'exit');
        await lab.stop();
        await api.stop();
      }
    });
  },
);
