import { spawnSync } from 'node:child_process';

/**
 * What the tests run beside Node, and the Debian package that brings each. As root on Debian and its kin, as CI is, missing ones are installed;
 * elsewhere they are named, and the tests that need one are skipped unless CI is set (test/fixtures/tools.ts).
 */
const TOOLS = [
  { command: 'chromium', debian: 'chromium' },
  { command: 'tmux', debian: 'tmux' },
  { command: 'python3', debian: 'python3' },
  { command: 'man', debian: 'man-db' },
  { command: 'bwrap', debian: 'bubblewrap' },
] as const;

const succeeds = (command: string, args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
const present = (command: string): boolean => spawnSync('which', [command]).status === 0;

const missing = TOOLS.filter(({ command }) => !present(command)).map(({ debian }) => debian);
if (missing.length > 0) {
  const install = ['install', '-y', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0 || !present('apt-get'))
    console.error(
      `Tests that need them are skipped without: ${missing.join(', ')}. On Debian: sudo apt-get ${install.join(' ')}`,
    );
  else {
    console.error(`apt-get ${install.join(' ')}`);
    const env = (args: readonly string[]): boolean =>
      succeeds('env', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]);
    if (!env(['update', '-qq']) || !env(['-qq', ...install])) {
      console.error(`${missing.join(', ')} could not be installed.`);
      process.exitCode = 1;
    }
  }
}
