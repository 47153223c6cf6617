import { existsSync, realpathSync, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isWithin } from '../../src/workspaces/path-within.js';

/** The folders of a run, by real paths. */
export interface Place {
  /** KSI_DIR. The run sees nothing below it but its workspace, `visible` and the login. */
  readonly ksiDir: string;
  /** The run's workspace. bubblewrap gets it as the open descriptor WORKSPACE_FD. */
  readonly cwd: string;
  /** The run may only read its workspace. */
  readonly readOnly?: boolean;
  /** Further paths that the run may write, also below KSI_DIR. Missing paths are skipped. */
  readonly visible: readonly string[];
  /** Files with secrets outside KSI_DIR. An empty file replaces each. */
  readonly hidden?: readonly string[];
  readonly login?: Login | undefined;
  /** The workspace's folder outside the sandbox, if it is another one than `cwd`. `cwd` is then renamed once the run has begun. */
  readonly source?: string | undefined;
  /** Descriptors that bubblewrap closes. */
  readonly empty?: readonly number[];
}

/** The Claude configuration folder that the operator logged in to. */
export interface Login {
  readonly folder: string;
  /** The one file of the folder that a run may read. */
  readonly file: string;
  /** The run may have to renew the login. */
  readonly writable: boolean;
}

/** The mounts take the workspace from an open descriptor: by its path a link could have taken its place since it was checked. */
export const WORKSPACE_FD = 3;

/** What root needs to work with files of other users and to install packages, as in a container. None of these undoes a mount. */
const ROOT_CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_SETGID', 'CAP_SETUID'];

/** As root a run could otherwise replace programs that the worker, or cron, starts outside the sandbox. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc', '/opt', '/boot', '/var/spool', '/var/lib'].concat(
  dirname(process.execPath),
);

/** Sockets by which the user's service manager starts programs outside the sandbox. */
const BUSES = ['/run/dbus', '/run/systemd', `/run/user/${process.getuid?.() ?? 0}`];

/** The folder of package.json: KSI's code and its packages. */
const CODE = installation(dirname(fileURLToPath(import.meta.url)));

function installation(from: string): string {
  const parent = dirname(from);
  return existsSync(join(from, 'package.json')) || parent === from ? from : installation(parent);
}

/** The sandbox's own folders hold mount points only. In bytes. */
const EMPTY_FOLDER_SIZE = '65536';

/**
 * The arguments of bubblewrap for a run. Later mounts cover earlier ones, so the order is: the machine as it is; what is read-only and contains
 * the workspace; the workspace; what is read-only and does not contain it; KSI_DIR, empty; what the run may see of it.
 */
export function sandboxArguments(
  { ksiDir, cwd, readOnly: onlyRead = false, visible, hidden = [], login, source, empty = [] }: Place,
  asRoot = process.getuid?.() === 0,
): string[] {
  const readOnly = [...realHomes(), CODE, login?.folder].filter((path) => path !== undefined);
  const around = readOnly.filter((path) => isWithin(cwd, path));
  const beside = readOnly.filter((path) => !around.includes(path));
  const workspace = [onlyRead ? '--ro-bind-fd' : '--bind-fd', String(WORKSPACE_FD), cwd];
  const below = isWithin(cwd, ksiDir);
  return [
    // bubblewrap closes a descriptor that it has read arguments from.
    ...empty.flatMap((fd) => ['--args', String(fd)]),
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
    ...(asRoot ? readOnlyAll(['/proc/sys', '/proc/sysrq-trigger', ...SYSTEM]) : []),
    ...BUSES.filter((path) => existsSync(path)).flatMap(emptyFolder),
    ...readOnlyAll(around),
    ...(below ? [] : workspace),
    ...readOnlyAll(beside),
    ...(isWithin(CODE, cwd) ? readOnlyAll(['dist', 'node_modules'].map((name) => join(CODE, name))) : []),
    ...realFiles(hidden).flatMap((path) => ['--ro-bind', '/dev/null', path]),
    ...(existsSync(ksiDir) ? ['--perms', '0700', ...emptyFolder(ksiDir)] : []),
    ...(below ? [...repositoriesAbove(ksiDir), ...workspace] : []),
    ...(login === undefined ? [] : [login.writable ? '--bind-try' : '--ro-bind-try', login.file, login.file]),
    ...visible.flatMap((path) => ['--bind-try', path, path]),
    // Files that a run wrote there would be lost at its end.
    ...(existsSync(ksiDir) && source === undefined ? ['--remount-ro', ksiDir] : []),
    '--chdir',
    cwd,
  ];
}

const readOnlyAll = (paths: readonly string[]): string[] => paths.flatMap((path) => ['--ro-bind-try', path, path]);

const emptyFolder = (path: string): string[] => ['--size', EMPTY_FOLDER_SIZE, '--tmpfs', path];

/** Mounts are made at real paths. Missing files are left out. */
const realFiles = (paths: readonly string[]): string[] =>
  paths.flatMap((path) => {
    try {
      return [realpathSync(path)];
    } catch {
      return [];
    }
  });

/** Hides the repositories that contain KSI_DIR: Claude Code searches for them itself, regardless of git's settings. */
function repositoriesAbove(ksiDir: string): string[] {
  const parent = dirname(ksiDir);
  if (parent === ksiDir) return [];
  const repository = join(parent, '.git');
  const stat = statSync(repository, { throwIfNoEntry: false });
  const hiding =
    stat === undefined ? [] : stat.isDirectory() ? emptyFolder(repository) : ['--ro-bind', '/dev/null', repository];
  return [...hiding, ...repositoriesAbove(parent)];
}

/** The user's home folders: by HOME, which `sudo -E` leaves as it was, and by the user database. */
function realHomes(): string[] {
  const homes = [homedir, () => userInfo().homedir].flatMap((find) => {
    try {
      return [realpathSync(find())];
    } catch {
      return []; // The user has no home: there is nothing to protect.
    }
  });
  // As a read-only home, / would make the whole machine read-only.
  return [...new Set(homes)].filter((home) => home !== '/');
}
