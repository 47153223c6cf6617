import { existsSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where a run takes place, by real paths. */
export interface Place {
  /** KSI_DIR. The run sees nothing below it but `cwd` and `visible`. */
  readonly ksiDir: string;
  /** The run's workspace, which it may write. */
  readonly cwd: string;
  /** Further paths that it may write, below KSI_DIR too. Missing ones are left out. */
  readonly visible: readonly string[];
  /** Files with secrets outside KSI_DIR: an empty file stands in their place. */
  readonly hidden?: readonly string[];
}

/** What root needs to work with files of other users and to install packages, as in a container. None of these undoes a mount. */
const ROOT_CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_SETGID', 'CAP_SETUID'];

/** As root a run could otherwise replace programs that the worker starts outside the sandbox. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc', '/opt', '/boot', dirname(process.execPath)];

/** Sockets by which the user's service manager starts programs outside the sandbox. */
const BUSES = ['/run/dbus', '/run/systemd', `/run/user/${process.getuid?.() ?? 0}`];

/** The folder of package.json: KSI's code and its packages. */
const CODE = installation(dirname(fileURLToPath(import.meta.url)));

function installation(from: string): string {
  const parent = dirname(from);
  return existsSync(join(from, 'package.json')) || parent === from ? from : installation(parent);
}

/**
 * The arguments of bubblewrap for a run. Later mounts cover earlier ones, so the order is: the machine as it is; the worker user's home and KSI's
 * code, read-only; the workspace; KSI's code again, if the workspace contains it; KSI_DIR, empty; what the run may see of it.
 */
export function sandboxArguments(
  { ksiDir, cwd, visible, hidden = [] }: Place,
  asRoot = process.getuid?.() === 0,
): string[] {
  const home = realHome();
  return [
    '--die-with-parent',
    '--unshare-pid',
    // With no_new_privs (bubblewrap always sets it) and without CAP_SYS_ADMIN no mount can be undone.
    '--cap-drop',
    'ALL',
    ...(asRoot ? ROOT_CAPABILITIES.flatMap((name) => ['--cap-add', name]) : []),
    // Root owns the disks' device nodes and the kernel's settings, capabilities or not.
    ...(asRoot ? ['--bind', '/', '/', '--dev', '/dev', '--ro-bind-try', '/sys', '/sys'] : ['--dev-bind', '/', '/']),
    '--proc',
    '/proc',
    ...(asRoot ? ['sys', 'sysrq-trigger'].flatMap((name) => ['--ro-bind-try', `/proc/${name}`, `/proc/${name}`]) : []),
    ...(asRoot ? SYSTEM.flatMap((path) => ['--ro-bind-try', path, path]) : []),
    ...BUSES.filter((path) => existsSync(path)).flatMap((path) => ['--tmpfs', path]),
    ...(home === undefined ? [] : ['--ro-bind-try', home, home]),
    '--ro-bind',
    CODE,
    CODE,
    '--bind',
    cwd,
    cwd,
    ...(isBelow(CODE, cwd)
      ? ['dist', 'node_modules'].map((name) => join(CODE, name)).flatMap((path) => ['--ro-bind-try', path, path])
      : []),
    ...hidden.filter((path) => existsSync(path)).flatMap((path) => ['--ro-bind', '/dev/null', path]),
    ...(existsSync(ksiDir) ? ['--perms', '0700', '--tmpfs', ksiDir] : []),
    ...(isBelow(cwd, ksiDir) ? [...repositoriesAbove(ksiDir), '--bind', cwd, cwd] : []),
    ...visible.flatMap((path) => ['--bind-try', path, path]),
    '--chdir',
    cwd,
  ];
}

/** Hides the repositories that contain KSI_DIR: Claude Code looks for them itself, whatever git is told. */
function repositoriesAbove(ksiDir: string): string[] {
  const parent = dirname(ksiDir);
  if (parent === ksiDir) return [];
  const repository = join(parent, '.git');
  const stat = statSync(repository, { throwIfNoEntry: false });
  const hiding =
    stat === undefined ? [] : stat.isDirectory() ? ['--tmpfs', repository] : ['--ro-bind', '/dev/null', repository];
  return [...hiding, ...repositoriesAbove(parent)];
}

/** @returns undefined when making it read-only would make the whole machine so. */
function realHome(): string | undefined {
  try {
    const home = realpathSync(homedir());
    return home === '/' ? undefined : home;
  } catch {
    return undefined; // The user has no home: there is nothing to protect.
  }
}

/** Whether `path` is `folder` or something in it. */
function isBelow(path: string, folder: string): boolean {
  const from = relative(folder, path);
  return from === '' || (!from.startsWith('..') && !from.startsWith('/'));
}
