import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mirrorOf, parseDeb822, parseList, type AptSource } from './apt-sources.js';
import { run } from './run.js';
import { versionIn } from './version.js';

/** A Debian package with an executable. */
export interface DebianPackage {
  readonly name: string;
  readonly executable: string;
  /** The suites to try, in order. @param codename of the machine's release */
  readonly suites: (codename: string) => readonly string[];
  readonly isNewEnough: (version: string) => boolean;
}

const UPDATE_TIMEOUT_MS = 120_000;
const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Downloads a package from the machine's Debian mirror and extracts its executable. Needs no root and does not change the machine's apt: lists,
 * cache and sources are in a temporary folder. apt checks the archive's signature and the package's hash.
 * @param target stores the extracted executable
 * @throws if this is not a Debian or no suite has a suitable version; the message lists what was tried
 */
export async function fetchFromDebian(
  wanted: DebianPackage,
  target: (executable: string) => Promise<void>,
  progress: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { mirror, codename } = await findMirror();
  const { name } = wanted;
  const work = await mkdtemp(join(tmpdir(), 'ksi-apt-'));
  try {
    const tried: string[] = [];
    for (const suite of wanted.suites(codename)) {
      progress(`looking for the ${name} package of ${suite} at ${mirror.uri}`);
      try {
        const version = await offered(work, mirror, suite, name, signal);
        if (version === undefined || !wanted.isNewEnough(version)) {
          tried.push(`${suite} has ${version ?? 'no such package'}`);
          continue;
        }
        const apt = aptOptions(work);
        await run('apt-get', [...apt, 'download', name], { timeoutMs: UPDATE_TIMEOUT_MS, cwd: work, signal });
        const deb = (await readdir(work)).find((file) => file.endsWith('.deb'));
        if (deb === undefined) throw new Error('apt-get download left no package');
        await run('dpkg-deb', ['-x', join(work, deb), join(work, 'root')], { timeoutMs: 60_000, signal });
        return await target(await executableIn(join(work, 'root'), wanted.executable));
      } catch (error) {
        signal?.throwIfAborted();
        tried.push(`${suite}: ${(error as Error).message}`);
      }
    }
    throw new Error(`${mirror.uri} has no recent enough ${name} (${tried.join('; ')})`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The package's version in a suite. */
async function offered(
  work: string,
  mirror: AptSource,
  suite: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  await rm(join(work, 'lists'), { recursive: true, force: true });
  await mkdir(join(work, 'lists', 'partial'), { recursive: true });
  await mkdir(join(work, 'cache', 'archives', 'partial'), { recursive: true });
  const signedBy = mirror.signedBy ?? DEBIAN_KEYRING;
  await writeFile(join(work, 'sources.list'), `deb [signed-by=${signedBy}] ${mirror.uri} ${suite} main\n`);
  const apt = aptOptions(work);
  await run('apt-get', [...apt, 'update'], { timeoutMs: UPDATE_TIMEOUT_MS, signal });
  const listed = await run('apt-cache', [...apt, 'madison', name], { timeoutMs: 60_000, signal });
  return versionIn(listed);
}

const aptOptions = (work: string): string[] =>
  [
    `Dir::Etc::sourcelist=${join(work, 'sources.list')}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(work, 'lists')}`,
    `Dir::Cache=${join(work, 'cache')}`,
    // By default apt accepts outdated lists after an error, and changes to a user that cannot write here.
    'APT::Update::Error-Mode=any',
    'APT::Sandbox::User=',
    'APT::Default-Release=',
    'Acquire::Languages=none',
    'Acquire::Retries=1',
    'Acquire::http::Timeout=15',
    'Acquire::https::Timeout=15',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false',
  ].flatMap((option) => ['-o', option]);

async function executableIn(root: string, executable: string): Promise<string> {
  for (const folder of ['usr/sbin', 'usr/bin']) {
    const names = await namesIn(join(root, folder));
    if (names.includes(executable)) return join(root, folder, executable);
  }
  throw new Error(`the package does not contain the executable ${executable}`);
}

async function findMirror(): Promise<{ mirror: AptSource; codename: string }> {
  const release = await textOf('/etc/os-release');
  if (!/^ID(_LIKE)?=.*debian/m.test(release)) throw new Error('this machine does not run Debian (see /etc/os-release)');
  const codename = /^VERSION_CODENAME=["']?([a-z]+)/m.exec(release)?.[1] ?? '';
  const sources: AptSource[] = parseList(await textOf('/etc/apt/sources.list'));
  const folder = '/etc/apt/sources.list.d';
  for (const name of (await namesIn(folder)).toSorted()) {
    if (name.endsWith('.sources')) sources.push(...parseDeb822(await textOf(join(folder, name))));
    else if (name.endsWith('.list')) sources.push(...parseList(await textOf(join(folder, name))));
  }
  const mirror = mirrorOf(sources, codename);
  if (mirror === undefined) throw new Error('/etc/apt does not name a Debian mirror');
  return { mirror, codename };
}

/** @returns [] if there is no such folder */
const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch((): string[] => []);

/** @returns '' if there is no such file */
const textOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
