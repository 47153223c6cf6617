import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { FileEntry, FilePage } from '../../contracts/sessions/files.js';
import { KsiClient } from '../../src/client/client.js';
import { KsiNatsClient } from '../../src/client/nats/index.js';
import { findContainment } from '../../workers/claude/containment.js';
import { folderId } from '../../src/process/folder-id.js';
import { ApiLab, TOKEN, type Answer } from '../fixtures/api.js';
import { REPO_ROOT } from '../fixtures/paths.js';
import { dataOf, WorkerLab } from '../fixtures/worker.js';

const CLI = join(REPO_ROOT, 'dist/src/cli/main.js');

describe('the files of a session', () => {
  let lab: WorkerLab;
  let api: ApiLab;
  /** A repository that is a workspace and contains KSI_DIR. */
  let site: string;
  let ksiDir: string;
  let client: KsiClient;
  before(async () => {
    site = await realpath(await mkdtemp(join(tmpdir(), 'ksi-site-')));
    ksiDir = join(site, '.ksi');
    mkdirSync(ksiDir);
    writeFileSync(join(ksiDir, 'token'), TOKEN);
    const config = { KSI_WORKSPACES: `site=${site}` };
    lab = await WorkerLab.start(config);
    api = await ApiLab.start(config, { ...lab.server, stop: () => Promise.resolve() });
    await lab.worker({ config: { KSI_DIR: ksiDir }, containment: await findContainment() });
    client = new KsiClient({ url: api.url, token: TOKEN });
    await run('own');
    await run('bound', 'site');
  });
  after(async () => {
    await client.close();
    await api.stop();
    await lab.stop();
    await rm(site, { recursive: true, force: true });
  });

  async function run(session_id: string, workspace?: string): Promise<void> {
    const { task_id } = await api.spawn({ prompt: 'x', session_id, ...(workspace === undefined ? {} : { workspace }) });
    dataOf('SPAWN_COMPLETE', await lab.outcome(task_id));
  }
  const ownFolder = async (): Promise<string> =>
    realpathSync(join(ksiDir, 'workspaces', (await client.sessions.get('own')).session_id));
  const list = async (query = '', session = 'own'): Promise<Answer & { paths: string[]; page: FilePage }> => {
    const answer = await api.request(`/sessions/${session}/files${query}`);
    const page = answer.body as unknown as FilePage;
    return { ...answer, page, paths: (page.items as FileEntry[] | undefined)?.map(({ path }) => path) ?? [] };
  };
  const ksi = async (cwd: string, dir: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> => {
    const options = { cwd, env: { PATH: process.env['PATH'], KSI_DIR: dir } };
    const child = spawn(process.execPath, [CLI, ...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    return { stdout, stderr };
  };
  const git = (...args: string[]): void =>
    void execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@x', ...args], { cwd: site, stdio: 'ignore' });

  it('are listed, read and archived, page by page and in pieces', async () => {
    const folder = await ownFolder();
    mkdirSync(join(folder, 'a/b'), { recursive: true });
    const big = Buffer.alloc(1_300_000, 'ksi-');
    writeFileSync(join(folder, 'a/b/big'), big);
    writeFileSync(join(folder, 'a.txt'), 'text');
    const long = `${'ü'.repeat(100)}.md`;
    writeFileSync(join(folder, long), '# long');
    symlinkSync('/etc', join(folder, 'link'));
    spawnSync('mkfifo', [join(folder, 'pipe')]);

    const { page, paths } = await list();
    assert.deepEqual(paths, ['a', 'a.txt', 'link', 'pipe', long]);
    assert.deepEqual(page.items.map(({ type }) => type), ['folder', 'file', 'link', 'other', 'file']); // prettier-ignore
    const all = [];
    for await (const { path } of client.sessions.files('own', { recursive: true, limit: 1 })) all.push(path);
    assert.deepEqual(all, ['a', 'a/b', 'a/b/big', 'a.txt', 'link', 'pipe', long]);
    assert.deepEqual((await list('?path=a')).paths, ['a/b']);

    const read = await new Response(await client.sessions.file('own', { path: 'a/b/big' })).arrayBuffer();
    assert.ok(big.equals(Buffer.from(read)));
    const part = await client.sessions.file('own', { path: 'a.txt', offset: 1, length: 2 });
    assert.equal(await new Response(part).text(), 'ex');

    const tar = Buffer.from(await new Response(await client.sessions.archive('own')).arrayBuffer());
    const into = await mkdtemp(join(tmpdir(), 'ksi-tar-'));
    execFileSync('tar', ['-x', '-C', into], { input: tar });
    assert.ok(big.equals(readFileSync(join(into, 'a/b/big'))));
    assert.equal(readFileSync(join(into, long), 'utf8'), '# long');
    assert.equal(readlinkSync(join(into, 'link')), '/etc');
    assert.deepEqual(readdirSync(into).toSorted(), ['a', 'a.txt', 'link', long]);
    await rm(into, { recursive: true });
  });

  it('come over NATS too, if they fit a message', async () => {
    const nats = new KsiNatsClient({ servers: lab.server.url });
    try {
      const text = await nats.sessions.file('own', { path: 'a.txt' });
      assert.equal(await new Response(text).text(), 'text');
      await assert.rejects(nats.sessions.file('own', { path: 'a/b/big' }), { code: 'answer_too_large' });
    } finally {
      await nats.close();
    }
  });

  it('are only those in the folder', async () => {
    for (const path of ['link', 'link/passwd', 'pipe', 'none', 'a/none', 'a', 'a.txt/x'])
      assert.equal(
        (await api.request(`/sessions/own/files/content?path=${path}`)).body['code'],
        'file_not_found',
        path,
      );
    for (const path of ['..', '../x', 'a/../..', '/etc/passwd', 'a//b', '.', '%00'])
      assert.equal((await api.request(`/sessions/own/files/content?path=${path}`)).status, 400, path);
    assert.equal((await list('?path=link')).body['code'], 'file_not_found');
    assert.equal((await list('', 'nobody')).body['code'], 'session_not_found');
    const { body } = await api.request('/tokens', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ owner: 'other', scopes: ['read'] }),
    });
    const headers = { authorization: `Bearer ${String(body['token'])}` };
    const { session_id: id } = await client.sessions.get('own');
    assert.equal((await api.request(`/sessions/${id}/files`, { headers })).body['code'], 'session_not_found');
  });

  it('are in a folder that the operator adds as a root while the cluster runs', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'ksi-added-')));
    mkdirSync(join(folder, 'docs'));
    const cwd = join(folder, 'docs');
    const refused = await ksi(cwd, ksiDir, 'spawn', '--here', '--url', api.url, '--token', TOKEN, 'x');
    assert.match(refused.stderr, /Only a cluster on this machine/);
    writeFileSync(join(ksiDir, 'endpoints.json'), JSON.stringify({ url: api.url, folder: folderId(ksiDir) }));
    assert.match((await ksi(cwd, ksiDir, 'spawn', '--here', 'x')).stderr, /Allow it first: ksi roots add \S+\/docs\n/);
    assert.match((await ksi(cwd, ksiDir, 'roots', 'add', ksiDir)).stderr, /A folder in KSI_DIR cannot be a root/);

    assert.equal((await api.post({ prompt: 'x', workspace: 'added/docs' })).status, 400);
    // This API and this worker have a KSI_DIR each.
    assert.equal((await ksi(cwd, api.dir, 'roots', 'add', folder, '--name', 'added')).stdout, 'added\n');
    assert.equal((await ksi(cwd, ksiDir, 'roots', 'add', folder, '--name', 'added')).stdout, 'added\n');
    await run('added', 'added/docs');
    writeFileSync(join(folder, 'docs/page'), 'x');
    assert.deepEqual((await list('', 'added')).paths, ['page']);
    assert.equal((await api.post({ prompt: 'x', workspace: 'added/../x' })).status, 400);

    const here = JSON.parse((await ksi(cwd, ksiDir, 'spawn', '--here', '-o', 'json', 'x')).stdout || '{}') as {
      workspace?: string;
    };
    assert.equal(here.workspace, 'added/docs');
    assert.equal(
      (await ksi(cwd, api.dir, 'roots', 'remove', 'added')).stderr,
      'Removed the root added. Its files are unchanged.\n',
    );
    assert.equal((await api.post({ prompt: 'x', workspace: 'added/docs' })).status, 400);
    await rm(folder, { recursive: true });
  });

  it('have a command that takes a unique prefix of an id, or `last`, as all commands do', async () => {
    const { items } = await client.tasks.list();
    const [newest, oldest] = [items[0]?.task_id ?? '', items.at(-1)?.task_id ?? ''];
    const task = async (id: string) => ksi(site, ksiDir, 'task', id, '-o', 'json');
    const idOf = ({ stdout }: { stdout: string }): unknown => (JSON.parse(stdout || '{}') as Record<string, unknown>)['task_id']; // prettier-ignore
    assert.equal(idOf(await task('last')), newest);
    assert.equal(idOf(await task(oldest.slice(0, -1))), oldest);
    const { stderr } = await task(oldest.slice(0, 4));
    assert.match(stderr, new RegExp(`${items.length} tasks begin with ${oldest.slice(0, 4)}:`));
    for (const { task_id: id } of items) assert.ok(stderr.includes(id));
    assert.match((await task('ffff')).stderr, /None of the tasks begins with ffff/);
    assert.match((await task('nope')).stderr, /a prefix of at least 4 characters, or `last`/);
    assert.match((await ksi(site, ksiDir, 'files', oldest.slice(0, -1))).stdout, /a\.txt/);
  });

  it('in a workspace leave out KSI_DIR, and git runs no program of the repository', async () => {
    writeFileSync(join(site, 'kept'), 'before\n');
    git('init', '-b', 'main');
    git('add', 'kept');
    git('commit', '-m', 'x');
    const program = (name: string): string => `touch ${site}/ran-${name} ${tmpdir()}/ksi-ran-${name}; cat`;
    for (const [key, name] of [
      ['filter.evil.clean', 'clean'],
      ['filter.evil.process', 'process'],
      ['core.fsmonitor', 'fsmonitor'],
      ['diff.evil.textconv', 'textconv'],
      ['diff.evil.command', 'command'],
      ['diff.external', 'external'],
    ] as const)
      git('config', key, program(name));
    git('config', 'filter.evil.required', 'true');
    writeFileSync(join(site, '.gitattributes'), '* filter=evil diff=evil\n');
    writeFileSync(join(site, 'kept'), 'after\n');
    writeFileSync(join(site, 'added'), 'new\n');

    const { paths } = await list('?recursive=true&limit=500', 'bound');
    assert.deepEqual(paths.filter((path) => !path.startsWith('.git/')), ['.git', '.gitattributes', 'added', 'kept']); // prettier-ignore
    assert.equal((await list('?path=.ksi', 'bound')).body['code'], 'file_not_found');
    const secret = await api.request('/sessions/bound/files/content?path=.ksi/token');
    assert.equal(secret.body['code'], 'file_not_found');

    const diff = await client.sessions.diff('bound');
    assert.match(diff, /^-before\n\+after$/m);
    assert.match(diff, /^\+\+\+ b\/added$/m);
    assert.ok(!diff.includes(TOKEN));
    const ran = spawnSync('sh', ['-c', `ls ${site}/ran-* ${tmpdir()}/ksi-ran-*`], { encoding: 'utf8' }).stdout;
    assert.equal(ran, '');
    await assert.rejects(client.sessions.diff('bound', { base: 'nowhere' }), { code: 'not_a_repository' });

    // A submodule has a configuration of its own.
    const inner = join(site, 'inner');
    mkdirSync(inner);
    git('-C', 'inner', 'init', '-b', 'main');
    writeFileSync(join(inner, 'file'), 'x');
    git('-C', 'inner', 'add', 'file');
    git('-C', 'inner', 'commit', '-m', 'x');
    git('-c', 'core.fsmonitor=false', '-c', 'filter.evil.required=false', '-c', 'filter.evil.clean=', 'add', 'inner');
    git('-C', 'inner', 'config', 'filter.evil.clean', program('submodule'));
    writeFileSync(join(inner, '.gitattributes'), '* filter=evil\n');
    writeFileSync(join(inner, 'file'), 'y');
    // Another folder is not the session's, whatever the configuration says.
    git('config', 'core.worktree', tmpdir());
    assert.match(await client.sessions.diff('bound'), /^-before\n\+after$/m);
    assert.equal(spawnSync('sh', ['-c', `ls ${site}/ran-* ${tmpdir()}/ksi-ran-*`], { encoding: 'utf8' }).stdout, '');
    writeFileSync(join(site, '.git/objects/info/alternates'), tmpdir());
    await assert.rejects(client.sessions.diff('bound'), { code: 'not_a_repository' });
    await assert.rejects(client.sessions.diff('own'), { code: 'not_a_repository' });
  });
});
