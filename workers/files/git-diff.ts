import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Readable } from 'node:stream';
import { MAX_DIFF_BYTES } from '../../contracts/sessions/worker-files.js';
import type { ContainedLauncher } from '../claude/contained-launcher.js';
import type { OpenFolder } from '../claude/open-folder.js';
import { isWithin } from '../../src/workspaces/path-within.js';

const MAX_ERROR_BYTES = 4_096;

export interface DiffOptions {
  readonly launcher: Pick<ContainedLauncher, 'contain' | 'kind'>;
  readonly folder: OpenFolder;
  /** The working folder's real path. */
  readonly path: string;
  readonly base: string;
  /** Paths that must not show, by real paths. */
  readonly hidden: readonly string[];
  /** Where git's temporary index and objects may be. */
  readonly temporary: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

export type Diff =
  | { readonly kind: 'diff'; readonly bytes: Buffer }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'failed'; readonly why: string };

/**
 * The repository is untrusted: a run may have set any configuration. Git runs in the sandbox of runs, where it sees the working folder read-only.
 * Nothing that the configuration names is started: no hook, fsmonitor, external diff, text conversion or filter, and nothing is fetched. Only
 * the repository in the folder's own `.git` counts, with its own objects: other folders would be read with the worker's rights. Git never looks into
 * submodules, which have configurations of their own. A copy of the index shows new files as added.
 */
const SCRIPT = `
set -eu
base=$1; temporary=$2; shift 2
[ -d .git ] && [ ! -L .git ] || { echo "the working folder is not the top of a repository" >&2; exit 1; }
for each in .git/commondir .git/objects/info/alternates; do
  [ ! -e "$each" ] && [ ! -L "$each" ] || { echo "the repository has parts outside the working folder ($each)" >&2; exit 1; }
done
for each in .git/objects .git/objects/info .git/objects/pack .git/refs .git/index; do
  [ ! -L "$each" ] || { echo "the repository has parts outside the working folder ($each)" >&2; exit 1; }
done
export GIT_DIR=.git GIT_WORK_TREE=.
git() { command git --no-pager --no-optional-locks -c safe.directory='*' -c core.fsmonitor=false -c core.hooksPath=/dev/null -c core.untrackedCache=false -c diff.orderFile=/dev/null "$@"; }
# Each filter is replaced by none: git would start it to read a changed file.
filters=$(git config --name-only --get-regexp '^filter\\..*\\.(clean|process|smudge|required)$' || true)
count=0
while IFS= read -r name; do
  [ -n "$name" ] || continue
  value=; case $name in *.required) value=false;; esac
  export "GIT_CONFIG_KEY_$count=$name" "GIT_CONFIG_VALUE_$count=$value"
  count=$((count + 1))
done <<END
$filters
END
export GIT_CONFIG_COUNT=$count
git rev-parse --verify --quiet "$base^{commit}" >/dev/null ||
  if [ "$base" = HEAD ]; then base=$(git hash-object -t tree /dev/null); else echo "there is no commit $base" >&2; exit 1; fi
index=$(git rev-parse --path-format=absolute --git-path index)
objects=$(git rev-parse --path-format=absolute --git-path objects)
[ ! -f "$index" ] || cp -p -- "$index" "$temporary/index"
mkdir "$temporary/objects"
export GIT_INDEX_FILE="$temporary/index" GIT_OBJECT_DIRECTORY="$temporary/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$objects"
new=$temporary/new
git ls-files -z --others --exclude-standard -- . "$@" > "$new"
[ ! -s "$new" ] || git --literal-pathspecs add --intent-to-add --ignore-errors --pathspec-from-file="$new" --pathspec-file-nul
git diff --no-ext-diff --no-textconv --no-color --src-prefix=a/ --dst-prefix=b/ --ignore-submodules=all "$base" -- . "$@"
`;

export async function gitDiff({ launcher, folder, path, base, hidden, env, ...options }: DiffOptions): Promise<Diff> {
  const temporary = await mkdtemp(join(options.temporary, 'diff-'));
  const excluded = hidden
    .filter((each) => isWithin(each, path))
    .map((each) => `:(exclude,literal)${relative(path, each)}`);
  const contained = launcher.contain(
    { command: 'sh', args: ['-c', SCRIPT, 'sh', base, temporary, ...excluded] },
    {
      PATH: env['PATH'],
      HOME: temporary,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_NO_LAZY_FETCH: '1',
      GIT_ALLOW_PROTOCOL: '',
      // A repository that contains the working folder is not the session's.
      GIT_CEILING_DIRECTORIES: dirname(path),
    },
    { cwd: path, readOnly: true, visible: [temporary] },
  );
  const child = spawn(contained.command, [...contained.args], {
    // In the sandbox, bubblewrap changes to the working folder.
    cwd: launcher.kind === 'sandbox' ? '/' : folder.path,
    env: contained.env,
    stdio: ['ignore', 'pipe', 'pipe', folder.fd],
    detached: true,
  }) as ChildProcessByStdio<null, Readable, Readable>;
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const forget = child.pid === undefined ? undefined : contained.started(child.pid);
  const kill = (): void => {
    try {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // The group has ended.
    }
  };
  options.signal.addEventListener('abort', kill);
  try {
    const [bytes, error, code] = await Promise.all([
      upTo(MAX_DIFF_BYTES, child.stdout, kill),
      upTo(MAX_ERROR_BYTES, child.stderr),
      ended,
    ]);
    options.signal.throwIfAborted();
    if (bytes.length > MAX_DIFF_BYTES) return { kind: 'too_large' };
    return code === 0 ? { kind: 'diff', bytes } : { kind: 'failed', why: error.toString().trim().split('\n')[0] ?? '' };
  } finally {
    options.signal.removeEventListener('abort', kill);
    forget?.();
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Reads a stream to its end and returns its first bytes, one more than `most` if there are more. @param onMore called once there are */
async function upTo(most: number, stream: Readable, onMore: () => void = () => undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (bytes > most) continue;
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > most) onMore();
  }
  return Buffer.concat(chunks);
}
